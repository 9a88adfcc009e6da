from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kubernetes.objects import (
    IMAGE,
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
from weir.kubernetes.diagnosis import Finding, diagnose, is_of_template, replica_of

BACK_OFF = f'Back-off pulling image "{IMAGE}"'
NOT_FOUND = f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'
REFUSED = "failed to fetch anonymous token: unexpected status: 401 Unauthorized"
AS_ROOT = "container has runAsNonRoot and image will run as root (pod: x, container: model)"
BY_NAME = (
    "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is"
    " non-root (pod: x, container: model)"
)
KILLED = "Container model failed liveness probe, will be restarted"
LIVENESS = 'Liveness probe failed: Get "http://10.0.0.7:5001/": connection refused'
DEADLINE = condition(
    "Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "x" has timed out progressing.'
)


def found(
    *pods: Json,
    of: Json | None = None,
    replica_sets: tuple[Json, ...] = (),
    events: tuple[Json, ...] = (),
    patience_seconds: float = 20,
    watched_seconds: dict[str, float] | None = None,
) -> Finding | None:
    return diagnose(
        deployment() if of is None else of,
        replica_sets,
        pods,
        events,
        now=NOW,
        unschedulable_patience_seconds=patience_seconds,
        unschedulable_seconds=watched_seconds,
    )


def finding(*pods: Json, **given: Any) -> Finding:
    it = found(*pods, **given)
    assert it is not None
    assert it.words
    assert not it.words.endswith(".")
    assert "\n" not in it.words
    assert it.remedy.endswith(".")
    assert SECRET_VALUE not in it.words + it.remedy
    return it


def unschedulable(
    message: str = "0/3 nodes are available: 3 Insufficient cpu.", **more: Any
) -> Json:
    given = {"lastTransitionTime": ago(30), **more}
    return pod(conditions=[condition("PodScheduled", "False", "Unschedulable", message, **given)])


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


@pytest.mark.parametrize(
    ("reason", "message", "final", "remedy"),
    [
        ("ErrImagePull", NOT_FOUND, True, "inference.image"),
        ("ErrImagePull", REFUSED, True, "image_pull_secret"),
        ("ErrImagePull", "manifest unknown", True, "inference.image"),
        ("ErrImagePull", "pull access denied", True, "image_pull_secret"),
        ("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout", False, "nodes can reach it"),
        ("ErrImagePull", "code = Unknown desc = context canceled", False, "reach it"),
        ("ErrImagePull", "no match for platform in manifest: not found", True, "architecture"),
        ("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: {NOT_FOUND}", True, "inference.image"),
        ("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: {REFUSED}", True, "image_pull_secret"),
        ("ImagePullBackOff", BACK_OFF, True, "reach it"),
        ("ImagePullBackOff", f"{BACK_OFF}: 503 Service Unavailable", False, "reach it"),
        ("RegistryUnavailable", "", False, "reach it"),
        ("ErrImageNeverPull", f'Container image "{IMAGE}" is not present', True, "inference.image"),
        ("InvalidImageName", "invalid reference format", True, "inference.image"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_named_with_what_to_do(
    reason: str, message: str, final: bool, remedy: str
) -> None:
    it = finding(pod(waiting(reason, message)))
    assert it.reason == "workload.image_pull"
    assert IMAGE in it.words
    assert f"container model of pod {POD} on node aks-1" in it.words
    assert it.final is final
    assert remedy in it.remedy


def test_an_older_kubelet_tells_in_an_event_why_it_backs_off() -> None:
    told = event("Failed", f'Failed to pull image "{IMAGE}": 401 Unauthorized')
    it = finding(pod(waiting("ImagePullBackOff", BACK_OFF)), events=(told,))
    assert "401 Unauthorized" in it.words
    assert "image_pull_secret" in it.remedy


def test_an_image_called_denied_is_not_taken_for_a_refusal() -> None:
    image = "shop.azurecr.io/denied:1"
    it = finding(pod(waiting("ErrImagePull", f"{image}: i/o timeout", image=image)))
    assert not it.final


def test_the_image_of_the_guard_is_the_platform_blocks() -> None:
    it = finding(pod(inits=[waiting("ErrImagePull", NOT_FOUND, name="guard")]))
    assert "guard (weir's own Envoy)" in it.words
    assert "guard_image" in it.remedy


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


UP = event("TriggeredScaleUp", "pod triggered scale-up: 1->2", seconds_ago=20)
NOT_UP = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")


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


FORBIDDEN = 'pods "fraud--v2-7d9-" is forbidden: '


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


PROBES = {"livenessProbe": {"httpGet": {"path": "/live", "port": 5001}}}


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
