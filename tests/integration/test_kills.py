"""A release killed with SIGKILL wherever it stands, then simply run again by `weir release FILE`.

Killed runs are chained: each run goes on where the one before it died, which is the harder case
and costs a fraction of as many releases. Traffic flows all the time. The good release dies without
Prefect around it, for Prefect takes most of a run's start; the bad one dies as `weir release`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.integration.lab import REPOSITORY, WEIR, Lab, Traffic
from weir.document import EndpointDocument, Outcome, Phase
from weir.endpoint import Split
from weir.local.home import Home
from weir.local.processes import ProcessTable

Moment = Callable[[EndpointDocument, str], bool]
LONGEST_DELAY_SECONDS = 0.3
RUN_SECONDS = 60
LOOK_SECONDS = 0.002
"""A moment may be as short as the answer of a gateway."""


def in_phase(phase: Phase) -> Moment:
    return lambda document, _: document.release is not None and document.release.phase is phase


def split_is(percentile: float, *, acknowledged: bool = False) -> Moment:
    """The version's split is intended, or acknowledged by the gateway as well."""

    def reached(document: EndpointDocument, version: str) -> bool:
        split = document.endpoint.split
        return (
            split is not None
            and split.percentile(version) == percentile
            and (document.split_applied_at is not None or not acknowledged)
        )

    return reached


def decided(document: EndpointDocument, _: str) -> bool:
    return document.release is not None and document.release.ending is not None


GOOD: dict[str, Moment] = {
    "start": lambda document, version: document.release is not None,
    "build": in_phase(Phase.BUILD),
    "deploy": in_phase(Phase.DEPLOY),
    "split intended": split_is(50),
    "split acknowledged": split_is(50, acknowledged=True),
    "promotion": decided,
}
BAD: dict[str, Moment] = {
    "decision": decided,
    "retire": in_phase(Phase.RETIRE),
}


def test_a_release_killed_at_many_points_is_promoted_by_running_it_again(lab: Lab) -> None:
    endpoint = endpoint_with_first_version(lab)
    file = lab.release_file(endpoint, "v2", minimum_requests=100)
    with lab.traffic(endpoint) as traffic:
        story_of = (sys.executable, "-m", "tests.story", lab.home, file)
        killed = kill_at(lab, endpoint, story_of, GOOD, seed=2)
        finished = lab.weir("release", file)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert killed == list(GOOD)
    document = lab.document(endpoint)
    assert [past.outcome for past in document.history] == [Outcome.PROMOTED, Outcome.PROMOTED]
    stands(lab, document, control="v2", versions=["v1", "v2"])
    assert traffic.counts().causes == {}


def test_a_bad_release_killed_at_many_points_is_rolled_back_by_running_it_again(lab: Lab) -> None:
    endpoint = endpoint_with_first_version(lab)
    file = lab.release_file(endpoint, "v2", lab.model(fails=0.5))
    with lab.traffic(endpoint) as traffic:
        killed = kill_at(lab, endpoint, (WEIR, "release", file), BAD, seed=3)
        finished = lab.weir("release", file)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert killed == list(BAD)
    document = lab.document(endpoint)
    assert [past.outcome for past in document.history] == [Outcome.PROMOTED, Outcome.ROLLED_BACK]
    stands(lab, document, control="v1", versions=["v1"])
    assert set(traffic.counts().causes) == {"model_error"}
    assert "v1" not in failing_versions(traffic)


def endpoint_with_first_version(lab: Lab) -> str:
    assert lab.server
    return lab.in_service(lab.name("killed"))


def kill_at(
    lab: Lab, endpoint: str, command: Sequence[str | Path], moments: dict[str, Moment], seed: int
) -> list[str]:
    """Kill a run of ``command`` that releases v2 at each moment, give or take a seeded delay.

    Returns the moments reached.
    """
    delays = random.Random(seed)
    reached = []
    for name, moment in moments.items():
        delay = delays.choice([0.0, delays.uniform(0, LONGEST_DELAY_SECONDS)])
        with lab.running(*command, cwd=REPOSITORY) as run:
            pid = run.pid

            def is_now(moment: Moment = moment, pid: int = pid) -> bool:
                document = lab.document(endpoint)
                holder = document.release.holder if document.release else None
                return holder is not None and holder.pid == pid and moment(document, "v2")

            eventually(lambda: is_now() or run.poll() is not None, RUN_SECONDS, LOOK_SECONDS)
            if run.poll() is not None:
                pytest.fail(
                    f"the run ended before {name}: {run.stdout.read() if run.stdout else ''}"
                )
            time.sleep(delay)
            run.kill()
        reached.append(name)
    return reached


def stands(lab: Lab, document: EndpointDocument, control: str, versions: list[str]) -> None:
    """One control with everything, as the gateway sees it, and no process too many."""
    endpoint = document.endpoint
    assert document.release is None
    assert endpoint.control == endpoint.default == control
    assert str(endpoint.split) == str(Split.everything_to(control))
    assert lab.platform.traffic.split(endpoint.name) == endpoint.split
    assert [version.name for version in endpoint.versions] == versions
    assert document.retiring == ()
    table = ProcessTable(Home(lab.home))
    wanted = sorted([f"{endpoint.name}.gateway", *(f"{endpoint.name}.{v}.0" for v in versions)])
    assert sorted(table.names(f"{endpoint.name}.")) == wanted


def failing_versions(traffic: Traffic) -> set[str]:
    return {name for name, seen in traffic.counts().versions.items() if seen.causes}
