"""Pods that are not admitted, or find no node."""

from __future__ import annotations

import pytest

from tests.unit.kubernetes.finding import finding, found, unschedulable
from tests.unit.kubernetes.objects import (
    Json,
    ago,
    condition,
    deployment,
    event,
    pod,
    replica_set,
)

UP = event("TriggeredScaleUp", "pod triggered scale-up: 1->2", seconds_ago=20)


NOT_UP = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")


FORBIDDEN = 'pods "fraud--v2-7d9-" is forbidden: '


@pytest.mark.parametrize(
    ("message", "remedies"),
    [
        ("3 Insufficient cpu", ["deployment.cpu_cores"]),
        ("3 Insufficient memory", ["deployment.memory_gb"]),
        ("3 Insufficient nvidia.com/gpu", ["deployment.gpu_cores"]),
        ("3 node(s) had untolerated taint {sku: gpu}", ["tolerations", "gpu_tolerations"]),
        ("3 node(s) didn't match Pod's node affinity/selector", ["node_selector"]),
        ("3 Too many pods", ["more pods"]),
        ("pod has unbound immediate PersistentVolumeClaims", ["volume"]),
        ("1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}", ["cpu_cores", "tolerat"]),
        ("something new", ["Add nodes"]),
    ],
)
def test_a_pod_without_a_node_has_a_remedy_for_each_thing_that_nodes_lack(
    message: str, remedies: list[str]
) -> None:
    whole = f"0/3 nodes are available: {message}. preemption: 0/3 nodes are available: no victims."
    it = finding(unschedulable(whole))
    assert it.reason == "workload.unschedulable"
    assert message in it.words
    assert "preemption" not in it.words
    assert all(each in it.remedy for each in remedies)


@pytest.mark.parametrize(
    ("it", "events", "final"),
    [
        (unschedulable(lastTransitionTime=ago(19)), (), False),
        (unschedulable(lastTransitionTime=ago(20)), (), True),
        (unschedulable(lastTransitionTime=None), (), True),
        (unschedulable(), (UP,), False),
        (unschedulable(lastTransitionTime=ago(1)), (NOT_UP,), True),
        (unschedulable(), (UP, NOT_UP), True),
        (unschedulable(), ({**UP, "lastTimestamp": ago(1)}, NOT_UP), False),
        (unschedulable(), ({**UP, "involvedObject": {"kind": "Pod", "name": "b"}},), True),
    ],
)
def test_a_pod_without_a_node_is_final_when_no_node_will_come(
    it: Json, events: tuple[Json, ...], final: bool
) -> None:
    assert finding(it, events=events).final is final


@pytest.mark.parametrize("said", [ago(10_000), ago(0), ago(-10_000)])
@pytest.mark.parametrize(("watched", "final"), [(0.0, False), (19.9, False), (20.0, True)])
def test_who_watches_does_not_go_by_clocks(said: str, watched: float, final: bool) -> None:
    one = unschedulable(lastTransitionTime=said)
    one["metadata"]["uid"] = "one"
    assert finding(one, watched_seconds={"one": watched}).final is final
    assert not finding(one, watched_seconds={}).final


def test_a_time_to_come_is_not_final() -> None:
    assert not finding(unschedulable(lastTransitionTime=ago(-60))).final


def test_the_autoscalers_refusal_is_quoted() -> None:
    assert "1 max node group size reached" in finding(unschedulable(), events=(NOT_UP,)).words


@pytest.mark.parametrize(
    ("message", "reason", "final", "remedy"),
    [
        ("exceeded quota: compute, requested: cpu=1", "quota_exceeded", True, "num_replicas"),
        ("failed quota: q: must specify limits.cpu", "not_admitted", True, "cpu_cores_limit"),
        ('violates PodSecurity "restricted:latest"', "not_admitted", True, "pod-security"),
        ("maximum cpu usage per Container is 1, but limit is 2", "not_admitted", True, "LimitRa"),
        ('admission webhook "a.b" denied the request: no', "not_admitted", True, "exempted"),
        (
            'error looking up service account weir/x: serviceaccount "x" not found',
            "not_admitted",
            False,
            "service account",
        ),
        ('failed calling webhook "a.b": connection refused', "not_admitted", False, "webhook"),
    ],
)
def test_pods_that_are_not_admitted_are_told_from_conditions_and_events(
    message: str, reason: str, final: bool, remedy: str
) -> None:
    failure = condition("ReplicaFailure", "True", "FailedCreate", FORBIDDEN + message)
    told = event("FailedCreate", FORBIDDEN + message, kind="ReplicaSet", name="fraud--v2-7d9")
    for it in (
        finding(of=deployment(failure)),
        finding(replica_sets=(replica_set(failure),)),
        finding(events=(told,)),
        finding(events=(told,), replica_sets=(replica_set(),)),
    ):
        assert (it.reason, it.final) == (f"workload.{reason}", final)
        assert message in it.words
        assert remedy in it.remedy


def test_a_refusal_is_past_when_a_pod_could_be_made_since_or_the_template_changed() -> None:
    told = event("FailedCreate", "exceeded quota", kind="ReplicaSet", name="fraud--v2-7d9")
    old = {**told, "lastTimestamp": ago(100)}
    two = deployment(replicas=2)
    assert found(pod(), of=two, events=(told,)) is not None
    assert found(pod(), of=two, events=(old,)) is None
    assert found(pod(), events=(told,)) is None
    of_another = event("FailedCreate", "exceeded quota", kind="ReplicaSet", name="fraud--v2-111")
    assert found(replica_sets=(replica_set(),), events=(of_another,)) is None
    unmade = condition("Progressing", "False", "ReplicaSetCreateError", "exceeded quota: sets")
    assert finding(of=deployment(unmade)).reason == "workload.quota_exceeded"
