"""Which finding is told, and probes, lost nodes and deadlines."""

from __future__ import annotations

import pytest

from tests.unit.kubernetes.finding import finding, found, unschedulable
from tests.unit.kubernetes.objects import (
    IMAGE,
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
from weir.kubernetes.diagnosis import is_of_template

NOT_FOUND = f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'


KILLED = "Container model failed liveness probe, will be restarted"


LIVENESS = 'Liveness probe failed: Get "http://10.0.0.7:5001/": connection refused'


DEADLINE = condition(
    "Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "x" has timed out progressing.'
)


PROBES = {"livenessProbe": {"httpGet": {"path": "/live", "port": 5001}}}


@pytest.mark.parametrize(
    "calm",
    [
        pod(),
        pod(waiting("ContainerCreating")),
        pod(waiting("PodInitializing"), inits=[running("fetch")]),
        pod(running(), inits=[{**ended(0, "Completed"), "name": "fetch"}], phase="Running"),
        pod(running(), phase="Running"),
    ],
)
def test_nothing_is_wrong_with_a_pod_that_is_still_starting(calm: Json) -> None:
    assert found(calm) is None


def test_a_container_that_is_killed_for_its_liveness_probe_is_final() -> None:
    failed = event("Unhealthy", LIVENESS, container="model")
    killing = event("Killing", KILLED, container="model")
    for container, events in (
        (running(), (failed, killing)),
        (running(restartCount=1, lastState=end(137)), (failed,)),
        (looping(137), (failed, killing)),
        (looping(0, "Completed"), (failed, killing)),
    ):
        it = finding(pod(container, phase="Running", probes=PROBES), events=events)
        assert (it.reason, it.final) == ("workload.probe_failing", True)
        assert "liveness probe of container model of pod" in it.words
        assert "(GET /live, port 5001)" in it.words
        assert "connection refused" in it.words
        assert "deployment.liveness.initial_delay_seconds" in it.remedy


def test_a_container_that_ends_by_itself_is_not_taken_for_one_that_a_probe_kills() -> None:
    events = (event("Unhealthy", LIVENESS), event("Killing", KILLED))
    assert finding(pod(looping(1)), events=events).reason == "workload.crashed"
    starved = finding(pod(looping(137, "OOMKilled")), events=events)
    assert starved.reason == "workload.out_of_memory"


@pytest.mark.parametrize("kind", ["Readiness", "Startup", "Liveness"])
def test_a_probe_that_only_fails_is_told_but_not_final(kind: str) -> None:
    told = event("Unhealthy", f"{kind} probe failed: HTTP probe failed with statuscode: 503")
    it = finding(pod(running(), phase="Running"), events=(told,))
    assert (it.reason, it.final) == ("workload.probe_failing", False)
    assert f"the {kind.lower()} probe" in it.words
    assert it.words.endswith("HTTP probe failed with statuscode: 503")


def test_the_probe_of_a_ready_container_is_past_and_another_pods_is_not_its() -> None:
    told = event("Unhealthy", "Readiness probe failed: 503", container="model")
    assert found(pod(running(ready=True), phase="Running"), events=(told,)) is None
    assert found(pod(running(), phase="Running", name="b"), events=(told,)) is None


def test_an_evicted_pod_and_a_lost_node_are_told_but_not_final() -> None:
    message = "The node was low on resource: memory."
    evicted = pod(ended(137, restartCount=4), phase="Failed", reason="Evicted", message=message)
    it = finding(evicted)
    assert (it.reason, it.final) == ("workload.evicted", False)
    assert "low on resource: memory" in it.words
    assert "on node aks-1" in it.words
    lost = condition("Ready", "False", "NodeNotReady")
    by_event = pod(running(ready=True), phase="Running", conditions=[condition("Ready", "False")])
    for it in (
        finding(pod(running(ready=True), phase="Running", conditions=[lost])),
        finding(pod(running(ready=True), phase="Running", reason="NodeLost")),
        finding(pod(phase="Failed", reason="NodeLost")),
        finding(by_event, events=(event("NodeNotReady", "Node is not ready"),)),
    ):
        assert (it.reason, it.final) == ("workload.node_lost", False)
        assert "on node aks-1" in it.words


def test_the_deadline_is_told_when_nothing_better_is_known_and_makes_the_rest_final() -> None:
    it = finding(pod(running(), phase="Running"), of=deployment(DEADLINE))
    assert (it.reason, it.final) == ("workload.deadline", True)
    told = event("Unhealthy", "Readiness probe failed: 503")
    better = finding(pod(running(), phase="Running"), of=deployment(DEADLINE), events=(told,))
    assert (better.reason, better.final) == ("workload.probe_failing", True)
    assert "deadline" in better.words


def test_final_findings_go_first_and_then_those_that_come_first_on_the_way_into_service() -> None:
    pulling = pod(waiting("ErrImagePull", "i/o timeout"), name="a")
    config = pod(waiting("CreateContainerConfigError", 'secret "s" not found'), name="b")
    crashing = pod(looping(1), name="c")
    failure = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")
    of = deployment(failure, DEADLINE, replicas=9)
    ranked = [
        pod(waiting("ErrImagePull", NOT_FOUND), name="z"),
        config,
        crashing,
        unschedulable(),
    ]
    reasons = [
        "workload.image_pull",
        "workload.config_missing",
        "workload.crashed",
        "workload.quota_exceeded",
    ]
    for skipped, reason in enumerate(reasons):
        assert finding(*reversed(ranked[skipped:]), of=of).reason == reason
    assert finding(pulling, crashing).reason == "workload.crashed"
    assert finding(pulling, pod(ended(1), name="c")).reason == "workload.image_pull"
    assert finding(unschedulable(), of=deployment(DEADLINE)).reason == "workload.unschedulable"


def test_pods_that_are_ready_leaving_or_of_an_older_template_do_not_count() -> None:
    broken = pod(looping(1))
    assert found(ready_pod(), broken) is None
    assert found(ready_pod(), broken, of=deployment(replicas=2)) is not None
    assert found(pod(looping(1), metadata={"deletionTimestamp": ago(5)})) is None
    sets = (replica_set(), replica_set(name="fraud--v2-111", revision="1"))
    assert found(pod(looping(1), owner="fraud--v2-111"), replica_sets=sets) is None
    assert found(broken, replica_sets=sets) is not None
    assert found(broken, of=deployment(replicas=0)) is None


def test_nothing_is_known_of_a_change_that_the_cluster_has_not_taken_up() -> None:
    assert found(pod(looping(1)), of=deployment(DEADLINE, observedGeneration=1)) is None


def test_pods_belong_to_the_replica_set_of_the_deployments_revision() -> None:
    sets = [replica_set(), replica_set(name="old", revision="1")]
    assert is_of_template(pod(), deployment(), sets)
    assert not is_of_template(pod(owner="old"), deployment(), sets)
    assert not is_of_template({}, deployment(), sets)
    assert is_of_template(pod(owner="old"), deployment(), [])


def test_messages_are_cut_and_steer_no_terminal() -> None:
    it = finding(pod(waiting("ErrImagePull", "\x1b[2J" + "denied " * 200)))
    assert "\x1b" not in it.words
    assert len(it.words) < 500
    assert it.words.endswith("…")
