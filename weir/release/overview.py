"""How an endpoint stands, as plain data for people and programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from weir.arriving import Misfit, misfit_in
from weir.document import EndpointDocument, Release
from weir.ports import Platform, ReplicaState, WorkloadStatus
from weir.release.ledger import living_holder
from weir.rollout import Decision


def overview(platform: Platform, document: EndpointDocument) -> dict[str, Any]:
    """The endpoint as JSON-ready data: split, versions with health, release with evidence.

    ``split`` is what the gateway follows now, ``wanted_split`` what the document says;
    ``gateway_trouble`` says why callers cannot be served at all, and is empty otherwise;
    ``arriving`` which version took another share than it was to, by the last window.
    """
    endpoint = document.endpoint
    actual = platform.traffic.split(endpoint.name)
    return {
        "endpoint": endpoint.name,
        "scoring_uri": platform.traffic.scoring_uri(endpoint.name),
        "gateway_trouble": platform.traffic.trouble(endpoint.name),
        "control": endpoint.control,
        "default": endpoint.default,
        "auth_enabled": endpoint.auth_enabled,
        "previous": document.previous,
        "split": actual.model_dump() if actual else {},
        "wanted_split": endpoint.split.model_dump() if endpoint.split else {},
        "arriving": str(_misfit(document) or ""),
        "versions": [_version(platform, document, version.name) for version in endpoint.versions],
        "release": _release(platform, document) if document.release else None,
        "history": [past.model_dump(mode="json") for past in document.history],
    }


def _misfit(document: EndpointDocument) -> Misfit | None:
    """What the last window tells of the split that is wanted now, and acknowledged since before."""
    split, applied_at = document.endpoint.split, document.split_applied_at
    window = document.release.last_window if document.release else None
    if window is None or split is None or applied_at is None or window.end <= applied_at:
        return None
    return misfit_in(window) if window.split == split.model_dump() else None


def _version(platform: Platform, document: EndpointDocument, name: str) -> dict[str, Any]:
    endpoint = document.endpoint
    version = endpoint.version(name)
    status = platform.workloads.status(endpoint.name, name)
    return {
        "name": name,
        "role": _role(document, name),
        "percentile": endpoint.split.percentile(name) if endpoint.split else 0.0,
        "model": version.model if version else "",
        "image": version.image if version else "",
        "health": health(status),
        "replicas_ready": status.ready() if status else 0,
        "replicas": status.desired if status else 0,
        "restarts": sum(replica.restarts for replica in status.replicas) if status else 0,
        "message": _message(status),
    }


def _role(document: EndpointDocument, name: str) -> str:
    if name == document.endpoint.control:
        return "control"
    if document.release is not None and name == document.release.version:
        return "treatment"
    return "previous" if name == document.previous else "idle"


def health(status: WorkloadStatus | None) -> str:
    """healthy, degraded (some replicas ready), starting, failed, stopped or gone."""
    if status is None:
        return "gone"
    if status.is_ready():
        return "healthy"
    if status.ready():
        return "degraded"
    if status.failed:
        return "failed"
    stopped = all(replica.state is ReplicaState.STOPPING for replica in status.replicas)
    return "stopped" if stopped else "starting"


def _message(status: WorkloadStatus | None) -> str:
    if status is None:
        return ""
    messages = (replica.message for replica in status.replicas if replica.message)
    return status.failed or next(messages, "")


def _release(platform: Platform, document: EndpointDocument) -> dict[str, Any]:
    release = document.release
    assert release is not None
    alive = living_holder(platform, document) is not None
    return {
        "id": release.id,
        "version": release.version,
        "phase": release.phase.value,
        "state": _state(release, alive),
        "held_by": str(release.holder) if release.holder and alive else None,
        "steps": list(release.spec.rollout.steps),
        "step": release.rollout.step if release.rollout else None,
        "started_at": release.started_at.isoformat(),
        "decision": _decision(release.decision),
    }


def _state(release: Release, alive: bool) -> str:
    if release.rollout is not None and release.rollout.paused is not None:
        return "paused"
    if release.holder is None:
        return "held"
    return "running" if alive else "abandoned"


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "action": decision.action.value,
        "reason": str(decision.reason),
        "words": decision.words,
        "verdicts": {name: str(verdict) for name, verdict in decision.verdicts.items()},
        "evidence": {
            name: {"log10_e_harm": found.log10_e_harm, "log10_e_safe": found.log10_e_safe}
            for name, found in decision.evidence.items()
        },
        "requests": {name: tally.requests for name, tally in decision.counts.items()},
        "failures": {name: tally.failures for name, tally in decision.counts.items()},
        "next_step": asdict(decision.next_step) if decision.next_step else None,
    }
