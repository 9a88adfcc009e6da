"""Pods as replicas, and objects in any state."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kubernetes.finding import unschedulable
from tests.unit.kubernetes.objects import (
    NOW,
    POD,
    SECRET_VALUE,
    Json,
    ago,
    condition,
    deployment,
    end,
    ended,
    event,
    looping,
    pod,
    ready_pod,
    replica_set,
    running,
    waiting,
)
from weir.kubernetes.diagnosis import diagnose, replica_of

KILLED = "Container model failed liveness probe, will be restarted"


LIVENESS = 'Liveness probe failed: Get "http://10.0.0.7:5001/": connection refused'


DEADLINE = condition(
    "Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "x" has timed out progressing.'
)


PROBES = {"livenessProbe": {"httpGet": {"path": "/live", "port": 5001}}}


_WORDS = [
    *("", "True", "False", "x\ud800", "0001-01-01", "Unschedulable", "Failed", "ReplicaFailure"),
    *("Ready", "FailedMount", "Unhealthy", "Pod", "CrashLoopBackOff", "ErrImagePull", "NodeLost"),
]


_SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 137, 2**70, ago(9), LIVENESS, KILLED, POD, *_WORDS]
)


_COMPLETE = pod(
    looping(137, message="a\nb"),
    inits=[ended(0, name="fetch"), running("guard")],
    conditions=[
        condition("PodScheduled", "False", "Unschedulable", "m", lastTransitionTime=ago(9)),
        condition("Ready", "False", "NodeNotReady"),
    ],
    probes=PROBES,
)


_COMPLETE_EVENT = {**event("Unhealthy", LIVENESS, container="model"), "series": {"count": 2}}


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """``whole`` with any of its parts missing or of another kind."""
    fate = draw(st.integers(0, 9))
    if fate == 0:
        return draw(st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2), st.just({})))
    if isinstance(whole, dict):
        kept = {name: draw(damaged(each)) for name, each in whole.items()}
        gone = draw(st.sampled_from([None, *whole]))
        return {name: each for name, each in kept.items() if name != gone}
    if isinstance(whole, list):
        return [draw(damaged(each)) for each in whole]
    return whole


def objects(whole: Json) -> st.SearchStrategy[Json]:
    return damaged(whole).filter(lambda it: isinstance(it, dict))


@pytest.mark.parametrize(
    ("it", "state", "message"),
    [
        (ready_pod(), "ready", ""),
        (ready_pod(metadata={"deletionTimestamp": ago(1)}), "stopping", ""),
        (pod(looping(3)), "backing_off", "model: CrashLoopBackOff"),
        (pod(waiting("ImagePullBackOff")), "backing_off", "model: ImagePullBackOff"),
        (pod(inits=[looping(3, name="f")]), "backing_off", "f: CrashLoopBackOff"),
        (pod(waiting("ContainerCreating")), "starting", "model: ContainerCreating"),
        (pod(running(), phase="Running"), "starting", "model: not ready"),
        (unschedulable(), "starting", "Unschedulable"),
        (pod(phase="Failed", reason="Evicted"), "unready", "Evicted"),
        (
            pod(running(started=True), phase="Running", probes={"startupProbe": {"grpc": {}}}),
            "unready",
            "model: not ready",
        ),
        (
            pod(
                running(),
                phase="Running",
                conditions=[condition("Ready", "False", lastTransitionTime=ago(5))],
            ),
            "unready",
            "model: not ready",
        ),
        (
            pod(
                running(),
                phase="Running",
                conditions=[condition("Ready", "False", lastTransitionTime=ago(55))],
            ),
            "starting",
            "model: not ready",
        ),
    ],
)
def test_a_pod_is_a_replica_with_a_state_and_a_few_words(
    it: Json, state: str, message: str
) -> None:
    replica = replica_of(it)
    assert (replica.name, replica.state, replica.message) == (POD, state, message)


def test_a_replica_has_its_address_restarts_and_last_exit() -> None:
    init = {**ended(0, "Completed"), "name": "fetch", "restartCount": 1}
    sidecar = running("guard", restartCount=2, lastState=end(9, finishedAt=ago(90)))
    model = running(restartCount=3, lastState=end(5, finishedAt=ago(60)))
    replica = replica_of(pod(model, inits=[init, sidecar], podIP="10.0.0.7"))
    assert (replica.address, replica.restarts, replica.last_exit) == ("10.0.0.7", 6, 5)
    assert replica_of(pod(running())).last_exit is None


@given(
    objects(deployment(condition("ReplicaFailure", "True", "x", "m"), DEADLINE)),
    st.lists(objects(replica_set()), max_size=1),
    st.lists(objects(_COMPLETE), max_size=2),
    st.lists(objects(_COMPLETE_EVENT), max_size=2),
)
def test_objects_in_any_state_are_read_without_an_error(
    of: Json, replica_sets: list[Json], pods: list[Json], events: list[Json]
) -> None:
    it = diagnose(
        of, replica_sets, pods, events, now=NOW, unschedulable_patience_seconds=float("inf")
    )
    if it is not None:
        assert it.words
        assert not it.words.endswith(".")
        assert SECRET_VALUE not in it.words + it.remedy
    for each in pods:
        replica_of(each)
