"""Why the guards' logs cannot be read, in words with a remedy. Pure."""

from __future__ import annotations

from pathlib import Path

from weir.errors import TelemetryUnavailable, WeirError

UNREADABLE = ("telemetry.log_unreadable", "telemetry.log_gone")
"""Reasons that are of one log, not of what weir may do or of the API server."""

_NEXT = "weir tries again at the next window."


def unavailable(error: WeirError) -> TelemetryUnavailable:
    """The same words; evidence stays as it was."""
    return TelemetryUnavailable(error.reason, error.message, remedy=error.remedy, where=error.where)


def of_log(error: WeirError, pod: str) -> TelemetryUnavailable:
    """For the API server's refusal to give the log of ``pod``."""
    if error.reason == "kubernetes.forbidden":
        return TelemetryUnavailable(
            "telemetry.log_forbidden",
            error.message,
            remedy="Give its account the Role in deployments/kubernetes/rbac.yaml, which has get on"
            " pods/log.",
            where=error.where,
        )
    if error.reason == "kubernetes.missing":
        return TelemetryUnavailable(
            "telemetry.log_gone",
            f"{pod} has gone while its log was to be read.",
            remedy=_NEXT,
            where=error.where,
        )
    if error.reason in ("kubernetes.invalid", "kubernetes.failing", "kubernetes.busy"):
        return TelemetryUnavailable(
            "telemetry.log_unreadable",
            f"the log of the guard in {pod} cannot be read: {error.message}",
            remedy="See whether its node is Ready (kubectl get nodes). " + _NEXT,
            where=error.where,
        )
    return unavailable(error)


def rotated(pod: str, where: str) -> TelemetryUnavailable:
    return TelemetryUnavailable(
        "telemetry.log_rotated",
        f"the node has rotated the log of the guard in {pod} since it was last read: lines are"
        " lost, and the time in which they were written is left out for every version.",
        remedy="If it happens often, have the nodes keep longer logs (containerLogMaxSizeMB of an"
        " AKS node pool, containerLogMaxSize of a kubelet), set a shorter window_seconds, or read"
        " telemetry from Application Insights.",
        where=where,
    )


def lost(pod: str, where: str) -> TelemetryUnavailable:
    return TelemetryUnavailable(
        "telemetry.log_lost",
        f"the guard in {pod} has restarted more than once since the window began: the log of"
        " before is gone, and its time is left out for every version.",
        remedy=f"See why it ends with kubectl logs {pod} -c guard --previous.",
        where=where,
    )


def ended(pod: str, error: WeirError) -> TelemetryUnavailable:
    """For a guard that has ended and whose log cannot be read, which will stay so."""
    return TelemetryUnavailable(
        "telemetry.log_lost",
        f"{error.message.rstrip('.')}; as it has ended, its time is left out for every version.",
        remedy=f"See why it has ended with kubectl describe pod {pod}.",
        where=error.where,
    )


def too_long(pod: str, limit_bytes: int, where: str) -> TelemetryUnavailable:
    return TelemetryUnavailable(
        "telemetry.log_too_long",
        f"the guard in {pod} has logged more than {limit_bytes / 2**20:.0f} MiB in one window.",
        remedy="Set a shorter window_seconds, run more replicas, or read telemetry from Application"
        " Insights.",
        where=where,
    )


def unwritable(error: OSError, cache: Path) -> TelemetryUnavailable:
    return TelemetryUnavailable(
        "telemetry.unreadable",
        f"the guards' logs cannot be kept for a moment: {error.strerror or error}.",
        remedy="Free space there, or give your user the right to write.",
        where=str(cache),
    )
