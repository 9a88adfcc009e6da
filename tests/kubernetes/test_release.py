"""Whole releases on a real control plane, as a person types them; callers and pods are played."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from kubernetes import client

from tests.eventually import eventually
from tests.integration.lab import Lab
from tests.integration.test_kills import BAD, GOOD, Moment
from tests.kubernetes.callers import Callers
from tests.kubernetes.site import EXAMPLES, Site, site
from weir.document import Outcome
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

pytestmark = pytest.mark.kubernetes

EVERYTHING = (
    *(DEPLOYMENT, SERVICE, SECRET, CONFIG_MAP, SERVICE_ACCOUNT, AUTOSCALER, DISRUPTION_BUDGET),
    *(GATEWAY, ROUTE, POD),
)


def test_a_good_version_is_promoted_a_bad_one_goes_back_and_deleting_leaves_nothing(
    lab: Lab, tmp_path: Path
) -> None:
    callers = Callers("fraud", failing={"v3": 0.3})
    with site(lab, tmp_path, callers) as there:
        first = there.weir("release", EXAMPLES / "release-v1.yaml")
        assert first.returncode == 0, first.stdout + first.stderr
        assert "checked: 2 of 2 samples" in first.stdout

        good = there.weir("release", there.release_file("v2"))
        assert good.returncode == 0, good.stdout + good.stderr
        assert there.split() == "v2 100 %"

        bad = there.weir("release", there.release_file("v3"))
        assert bad.returncode == 1, bad.stdout + bad.stderr
        assert there.split() == "v2 100 %"
        document = there.document()
        assert [past.outcome for past in document.history] == [
            Outcome.PROMOTED,
            Outcome.PROMOTED,
            Outcome.ROLLED_BACK,
        ]
        assert there.objects(DEPLOYMENT) == ["fraud--v1", "fraud--v2"]

        status = there.weir("status", "fraud")
        assert "v2" in status.stdout
        assert "healthy" in status.stdout

        gone = there.weir("delete", "fraud", "--yes")
        assert gone.returncode == 0, gone.stdout + gone.stderr
        for kind in EVERYTHING:
            eventually(lambda kind=kind: there.objects(kind, {"weir/endpoint": "fraud"}) == [])


def test_a_release_killed_at_many_points_is_promoted_by_running_it_again(
    lab: Lab, tmp_path: Path
) -> None:
    with site(lab, tmp_path, Callers("fraud")) as there:
        assert there.weir("release", there.release_file("v1")).returncode == 0
        file = there.release_file("v2", minimum_requests=200)
        killed = kill_at(there, file, GOOD, seed=5)
        finished = there.weir("release", file)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert killed == list(GOOD)
        stands(there, control="v2", versions=["v1", "v2"])


def test_a_bad_release_killed_at_many_points_is_rolled_back_by_running_it_again(
    lab: Lab, tmp_path: Path
) -> None:
    with site(lab, tmp_path, Callers("fraud", failing={"v2": 0.5})) as there:
        assert there.weir("release", there.release_file("v1")).returncode == 0
        file = there.release_file("v2")
        killed = kill_at(there, file, BAD, seed=6)
        finished = there.weir("release", file)
        assert finished.returncode == 1, finished.stdout + finished.stderr
        assert killed == list(BAD)
        stands(there, control="v1", versions=["v1"])


def test_a_split_changed_by_hand_ends_the_run_and_resume_takes_it_back(
    lab: Lab, tmp_path: Path
) -> None:
    with site(lab, tmp_path, Callers("fraud")) as there:
        assert there.weir("release", there.release_file("v1")).returncode == 0
        file = there.release_file("v2", minimum_requests=3000)
        with there.running("release", file) as run:
            eventually(lambda: there.split() == "v1 50 %, v2 50 %", 60)
            change_by_hand(there, {"fraud--v1": 99, "fraud--v2": 1})
            output, _ = run.communicate(timeout=60)
        assert run.returncode == 1
        assert "kubectl-edit changed the route" in output
        assert "gateway.changed_by_others" in output
        assert there.split() == "v1 99 %, v2 1 %"
        status = there.weir("status", "fraud")
        assert "its split was changed by kubectl-edit" in status.stdout

        again = there.weir("release", file)
        assert again.returncode == 1
        assert there.split() == "v1 99 %, v2 1 %"

        back = there.weir("rollback", "fraud")
        assert back.returncode == 0, back.stdout + back.stderr
        stands(there, control="v1", versions=["v1"])


def test_a_broken_version_says_why_and_nothing_is_left_of_it(lab: Lab, tmp_path: Path) -> None:
    with site(lab, tmp_path, Callers("fraud")) as there:
        assert there.weir("release", there.release_file("v1")).returncode == 0
        file = there.release_file("v2", image="registry.example/crash-loop:v2")
        broken = there.weir("release", file)
        assert broken.returncode == 1
        words = broken.stdout + broken.stderr
        assert "workload.crashed" in words
        assert "no such model" in words
        stands(there, control="v1", versions=["v1"])


def kill_at(there: Site, file: Path, moments: dict[str, Moment], seed: int) -> list[str]:
    """Kill a run that releases ``file`` at each moment, give or take; returns those reached."""
    delays = random.Random(seed)
    reached = []
    for name, moment in moments.items():
        with there.running("release", file) as run:
            pid = run.pid

            def is_now(moment: Moment = moment, pid: int = pid) -> bool:
                document = there.document()
                holder = document.release.holder if document.release else None
                return holder is not None and holder.pid == pid and moment(document, "v2")

            eventually(lambda is_now=is_now, run=run: is_now() or run.poll() is not None, 60, 0.005)
            if run.poll() is not None:
                pytest.fail(f"the run ended before {name}: {run.stdout.read()}")
            time.sleep(delays.choice([0.0, delays.uniform(0, 0.3)]))
            run.kill()
        reached.append(name)
    return reached


def stands(there: Site, control: str, versions: list[str]) -> None:
    """One control with everything, as the route has it, and no object too many."""
    document = there.document()
    assert document.release is None
    assert document.endpoint.control == document.endpoint.default == control
    assert there.split() == f"{control} 100 %"
    wanted = [f"fraud--{version}" for version in versions]
    for kind in (DEPLOYMENT, SERVICE, AUTOSCALER, DISRUPTION_BUDGET):
        eventually(lambda kind=kind: there.objects(kind) == wanted)


def change_by_hand(there: Site, weights: dict[str, int]) -> None:
    """What kubectl edit does to the weighted rule."""
    route = there.place.admin.get(ROUTE, "fraud")
    assert route is not None
    for backend in route["spec"]["rules"][-1]["backendRefs"]:
        backend["weight"] = weights[backend["name"]]
    client.CustomObjectsApi(there.place.connection).patch_namespaced_custom_object(
        *("gateway.networking.k8s.io", "v1", there.place.namespace, "httproutes", "fraud"),
        {"spec": {"rules": route["spec"]["rules"]}},
        field_manager="kubectl-edit",
    )
