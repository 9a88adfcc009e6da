"""A process that dies at any call to the API server, and the next one that goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import story
from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from tests.kubernetes.mortal import Killed, MortalApi, platform_over
from weir.document import Outcome
from weir.holding import this_process
from weir.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, ROUTE, SERVICE, Kind, name_of
from weir.kubernetes.names import VERSION
from weir.kubernetes.route_manifests import split_of
from weir.ports import Platform
from weir.release.removing import remove_endpoint
from weir.spec.load import Loaded, load_release

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

EVERY = int(os.environ.get("WEIR_KILL_EVERY", "9"))
"""One of so many moments is tried, of some 120 that a release has; 1 takes a quarter of an hour."""


@pytest.fixture
def place() -> Iterator[Place]:
    at_hand.require_played_nodes()
    with at_hand.place() as found:
        yield found


def loaded(folder: Path, version: str) -> Loaded:
    path = folder / f"{version}.yaml"
    content = {
        "endpoint": "fraud",
        "version_name": version,
        "model": {"name": "fraud", "version": version},
        "inference": {"image": f"registry.example/fraud:{version}"},
        "deployment": {"num_replicas": 1, "scoring_timeout_ms": 100},
        "rollout": {
            "steps": [50, 100],
            "window_seconds": 0.2,
            "minimum_requests": 50,
            "guardrails": [{"metric": "failures", "slack": 0.05}],
        },
    }
    path.write_text(json.dumps(content))
    return load_release(path)


@pytest.mark.parametrize(
    ("failing", "outcome", "control", "running"),
    [
        ({}, Outcome.PROMOTED, "v2", ["fraud--v1", "fraud--v2"]),
        ({"v2": 0.5}, Outcome.ROLLED_BACK, "v1", ["fraud--v1"]),
    ],
    ids=["promotion", "rollback"],
)
def test_a_kill_at_any_call_converges_to_the_same_end(
    place: Place,
    tmp_path: Path,
    failing: dict[str, float],
    outcome: Outcome,
    control: str,
    running: list[str],
) -> None:
    first, second = loaded(tmp_path, "v1"), loaded(tmp_path, "v2")
    moments, last, lives = 0, EVERY // 2, 0
    while True:
        with in_service(place, tmp_path, first):
            mortal = MortalApi(place, last)
            mortal_platform = platform_over(mortal, place, tmp_path, failing)
            dead = this_process("", mortal_platform.clock.now()).model_copy(
                update={"pid": 2**22 + 1}
            )
            try:
                past = story.release(mortal_platform, second, dead)
            except Killed:
                heir = platform_over(MortalApi(place), place, tmp_path, failing)
                past = story.release(heir, second)
            assert past.outcome is outcome, f"killed at moment {last}"
            stands(place, control, running, f"killed at moment {last}")
            lives += 1
            if mortal.moments < last:
                moments = mortal.moments
                break
            last += EVERY
    assert moments > 60
    assert lives > 6


@contextmanager
def in_service(place: Place, folder: Path, first: Loaded) -> Iterator[None]:
    """``first`` takes everything, and nothing is left of a release before."""
    assert story.release(alive(place, folder), first).outcome is Outcome.PROMOTED
    yield
    remove_endpoint(alive(place, folder), "fraud")


def alive(place: Place, folder: Path) -> Platform:
    return platform_over(MortalApi(place), place, folder)


def stands(place: Place, control: str, running: list[str], when: str) -> None:
    """One control with everything; no object of another version is left."""
    route = place.admin.get(ROUTE, "fraud")
    assert route is not None
    assert str(split_of("fraud", route)) == f"{control} 100 %", when
    weights = [one["weight"] for one in route["spec"]["rules"][-1]["backendRefs"]]
    assert sum(weights) == 10_000, when
    for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP):
        eventually(lambda kind=kind: of_versions(place, kind) == running)


def of_versions(place: Place, kind: Kind) -> list[str]:
    found, _ = place.admin.list(kind)
    return sorted(name_of(one) for one in found if VERSION in (one["metadata"].get("labels") or {}))
