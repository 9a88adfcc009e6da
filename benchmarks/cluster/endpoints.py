"""100 endpoints of 3 versions: what one more costs, and what they leave in the process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import client

from benchmarks.cluster.stage import Stage, held, loaded, row, stage
from tests import story
from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.document import Outcome
from weir.errors import WeirError
from weir.kubernetes import names
from weir.kubernetes.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    GATEWAY,
    POD,
    ROUTE,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from weir.release import documents
from weir.release.overview import overview
from weir.release.removing import remove_endpoint

ENDPOINTS = 100
BATCH = 25
VERSIONS = ("v1", "v2", "v3")
KINDS = (
    *(DEPLOYMENT, SERVICE, SECRET, CONFIG_MAP, SERVICE_ACCOUNT, AUTOSCALER, DISRUPTION_BUDGET),
    *(GATEWAY, ROUTE, POD),
)
NODES = 4


def rows() -> Iterator[str]:
    with at_hand.place() as place, _room(place):
        here = stage(place)
        before = held()
        yield row("process before", before, "")
        costs = []
        for first in range(0, ENDPOINTS, BATCH):
            with here.counting() as calls:
                for number in range(first, first + BATCH):
                    _make(here, f"endpoint-{number:03d}")
            costs.append(calls)
            yield row(f"endpoints {first + 1} to {first + BATCH}", calls, "linear")
            yield row(f"process after {first + BATCH} endpoints", held(), "flat")
        ratio = costs[-1].total / costs[0].total
        slower = costs[-1].seconds / costs[0].seconds
        yield row("calls and seconds, last 25 to first 25", f"{ratio:.2f}, {slower:.2f}", "1.1")
        there = _objects(place)
        of_each = ", ".join(f"{count:,} {kind}" for kind, count in there.items())
        yield row("objects of them", f"{sum(there.values()):,}: {of_each}", "")
        yield from _alone(place)
        yield from _listing(place)
        with here.counting() as calls:
            for number in range(ENDPOINTS):
                remove_endpoint(here.platform, f"endpoint-{number:03d}")
        yield row(f"deleting {ENDPOINTS} endpoints", calls, "")
        yield row("process after deleting", held(), "")
        began = time.monotonic()
        eventually(lambda: _objects(place) == {}, 60)
        yield row("objects left after that", f"none ({time.monotonic() - began:.1f} s)", "none")


def _make(here: Stage, endpoint: str) -> None:
    for version in VERSIONS:
        wanted = loaded(endpoint, version)
        past = story.release(here.platform, wanted, deploy_only=version != VERSIONS[0])
        assert past.outcome in (Outcome.PROMOTED, Outcome.DEPLOYED), past


def _alone(place: Place) -> Iterator[str]:
    """What a process of its own, as every `weir release` is, pays for the others' being there."""
    last = f"endpoint-{ENDPOINTS - 1:03d}"
    here = stage(place)
    with here.counting() as calls:
        story.release(here.platform, loaded(last, "v4"), deploy_only=True)
    yield row(f"a release to endpoint {ENDPOINTS} by a new process", calls, "")


def _listing(place: Place) -> Iterator[str]:
    here = stage(place)
    with here.counting() as calls:
        found = documents.readable(here.platform)
    assert len(found) == ENDPOINTS
    yield row(f"documents of {ENDPOINTS} endpoints", calls, "")
    with here.counting() as calls:
        overview(here.platform, found[0])
    yield row("overview of one of them", calls, "")
    with here.counting() as calls:
        for document in found:
            overview(here.platform, document)
    yield row("overview of all", calls, "")
    yield row("process after listing", held(), "")


def _objects(place: Place) -> dict[str, int]:
    """What has an endpoint's label, by kind."""
    counts = {}
    for kind in KINDS:
        found, _ = place.admin.list(kind)
        ours = [one for one in found if names.ENDPOINT in (one["metadata"].get("labels") or {})]
        if ours:
            counts[kind.plural] = len(ours)
    return counts


@contextmanager
def _room(place: Place) -> Iterator[None]:
    """Where kwok plays the nodes: some more of them, for 400 pods."""
    try:
        place.admin.read("/apis/kwok.x-k8s.io/v1alpha1", "ask for kwok")
    except WeirError:
        yield
        return
    core, made = client.CoreV1Api(place.connection), []
    size = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "250"}
    for number in range(NODES):
        name = f"{place.namespace}-{number}"
        metadata = {"name": name, "labels": {"kubernetes.io/os": "linux"}}
        status = {"allocatable": size, "capacity": size}
        core.create_node({"metadata": metadata, "status": status})
        made.append(name)
    try:
        yield
    finally:
        for name in made:
            core.delete_node(name)
