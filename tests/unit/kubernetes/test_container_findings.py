"""Containers that do not run, or end."""

from __future__ import annotations

import pytest

from tests.unit.kubernetes.finding import finding, found
from tests.unit.kubernetes.objects import (
    POD,
    Json,
    end,
    ended,
    event,
    looping,
    pod,
    running,
    waiting,
)

AS_ROOT = "container has runAsNonRoot and image will run as root (pod: x, container: model)"


BY_NAME = (
    "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is"
    " non-root (pod: x, container: model)"
)


@pytest.mark.parametrize(
    ("container", "reason", "words", "remedy"),
    [
        (looping(1), "workload.crashed", "exit code 1, restarted 3 times", "log"),
        (looping(139), "workload.crashed", "exit code 139 (SIGSEGV)", "log"),
        (looping(137), "workload.crashed", "exit code 137 (SIGKILL)", "memory"),
        (looping(178), "workload.crashed", "exit code 178 (signal 50)", "log"),
        (looping(255), "workload.crashed", "exit code 255, restarted", "log"),
        (looping(0, "Completed"), "workload.crashed", "exit code 0", "inference.command"),
        (looping(127), "workload.crashed", "(command not found)", "inference.command"),
        (looping(126), "workload.crashed", "(the command cannot be exec", "inference.command"),
        (ended(1, restartCount=2), "workload.crashed", "exit code 1", "log"),
        (looping(137, "OOMKilled"), "workload.out_of_memory", "out of memory", "memory_gb_limit"),
        (waiting("CrashLoopBackOff", "back-off"), "workload.crashed", "back-off", "log"),
        (
            waiting("RunContainerError", 'exec: "serve": executable file not found in $PATH'),
            "workload.cannot_start",
            "executable file not found",
            "inference.command",
        ),
        (
            looping(128, "StartError", "exec format error"),
            "workload.cannot_start",
            "exec format error",
            "node_selector",
        ),
        (ended(127, "ContainerCannotRun"), "workload.cannot_start", "cannot be started", "release"),
        (
            waiting("CreateContainerError", "no such device"),
            "workload.cannot_start",
            "no su",
            "rel",
        ),
        (
            waiting("CreateContainerConfigError", 'configmap "fraud" not found'),
            "workload.config_missing",
            'configmap "fraud" not found',
            "ConfigMap",
        ),
        (
            waiting("CreateContainerConfigError", "couldn't find key a in Secret weir/b"),
            "workload.config_missing",
            "couldn't find key a",
            "Put back",
        ),
        (waiting("CreateContainerConfigError", AS_ROOT), "workload.runs_as_root", AS_ROOT, "USER"),
        (waiting("CreateContainerConfigError", BY_NAME), "workload.runs_as_root", BY_NAME, "USER"),
    ],
)
def test_a_container_that_will_never_run_is_told_with_its_cause(
    container: Json, reason: str, words: str, remedy: str
) -> None:
    it = finding(pod(container))
    assert (it.reason, it.final) == (reason, True)
    assert words in it.words
    assert f"container model of pod {POD}" in it.words
    assert remedy in it.remedy


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (ended(1), "workload.crashed"),
        (ended(137, "OOMKilled", restartCount=1), "workload.out_of_memory"),
        (running(restartCount=3, lastState=end(1)), "workload.crashed"),
        (waiting("CreateContainerError", "context deadline exceeded"), "workload.cannot_start"),
        (
            waiting("CreateContainerConfigError", "failed to sync configmap cache: timed out"),
            "workload.config_missing",
        ),
    ],
)
def test_what_may_still_come_right_is_told_but_not_final(container: Json, reason: str) -> None:
    it = finding(pod(container, phase="Running"))
    assert (it.reason, it.final) == (reason, False)


def test_init_containers_and_sidecars_are_told_by_name() -> None:
    init = finding(pod(inits=[looping(2, name="fetch")]))
    assert "container fetch of pod" in init.words
    sidecar = finding(pod(inits=[looping(0, "Completed", name="proxy")], sidecars=["proxy"]))
    assert "container proxy of pod" in sidecar.words
    guard = finding(pod(inits=[looping(1, name="guard")]))
    assert "container guard (weir's own Envoy) of pod" in guard.words
    assert "guard_image" in guard.remedy
    root = finding(pod(inits=[waiting("CreateContainerConfigError", AS_ROOT, name="guard")]))
    assert (root.reason, "guard_image" in root.remedy) == ("workload.runs_as_root", True)
    unstarted = finding(pod(inits=[waiting("RunContainerError", "no such file", name="guard")]))
    assert "guard_image" in unstarted.remedy
    unready = pod(running(), inits=[running("guard")], phase="Running")
    probe = event("Unhealthy", "Startup probe failed: 503", container="guard")
    assert "guard_image" in finding(unready, events=(probe,)).remedy
    starved = finding(pod(inits=[looping(137, "OOMKilled", name="guard")]))
    assert starved.reason == "workload.out_of_memory"
    assert "memory_gb" not in starved.remedy


def test_a_crash_quotes_the_first_exception_or_the_last_line_left_behind() -> None:
    log = "loading\nTraceback (most recent call last):\n  File \"s.py\"\nKeyError: 'a'\nbye"
    assert finding(pod(looping(1, message=log))).words.endswith("KeyError: 'a'")
    assert finding(pod(looping(1, message="one\ntwo.\n"))).words.endswith(": two")


def test_a_missing_config_map_of_a_volume_is_final_when_it_was_tried_twice() -> None:
    message = 'MountVolume.SetUp failed for volume "c" : configmap "fraud" not found'
    for count, final in ((1, False), (2, True)):
        told = event("FailedMount", message, count=count)
        it = finding(pod(waiting("ContainerCreating")), events=(told,))
        assert (it.reason, it.final) == ("workload.config_missing", final)
        assert 'configmap "fraud" not found' in it.words
        assert found(pod(running(), phase="Running"), events=(told,)) is None
        pulling = event("Pulling", "Pulling image")
        assert found(pod(waiting("ContainerCreating")), events=(told, pulling)) is None


def test_a_pod_without_network_is_told() -> None:
    told = event("FailedCreatePodSandBox", "failed to setup network: no addresses left")
    it = finding(pod(waiting("ContainerCreating")), events=(told,))
    assert (it.reason, it.final) == ("workload.cannot_start", False)
    assert "no addresses left" in it.words
