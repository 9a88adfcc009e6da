"""Windows from the guards' logs: what the kubelets' API loses, and what weir says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.pod_logs import GuardPod, PodLogs, pod_logs
from tests.fakes.telemetry import Request
from weir.errors import TelemetryUnavailable
from weir.kubernetes import telemetry
from weir.kubernetes.api import Api
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.telemetry import GuardLogs

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WARNING = "[2026-11-23 12:00:01.000][1][warning][config] [source/x.cc:1] gRPC config: {odd}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[PodLogs]:
    with pod_logs() as served:
        yield served


@pytest.fixture
def cluster(server: PodLogs, monkeypatch: pytest.MonkeyPatch) -> PodLogs:
    monkeypatch.setattr(telemetry, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(telemetry, "_PAUSE_SECONDS", 0.05)
    server.pods, server.asked, server.list_refusal = [], [], None
    return server


@pytest.fixture
def api(cluster: PodLogs, tmp_path: Path) -> Api:
    access = Access(kubeconfig=str(cluster.kubeconfig(tmp_path)))
    return Api(connect(access), "models", patience_seconds=0.2)


@pytest.fixture
def logs(api: Api, tmp_path: Path) -> GuardLogs:
    return GuardLogs(api, tmp_path / "cache")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def served(first: int, stop: int, version: str = "v1") -> list[Request]:
    """A request in each second."""
    return [Request(at(second), version=version) for second in range(first, stop)]


def read(logs: GuardLogs, start: float, end: float) -> dict[str, int]:
    found = logs.read("fraud", at(start), at(end), at(-1000))
    return {version: counts.requests for version, counts in found.items()}


def trouble(logs: GuardLogs, start: float, end: float) -> TelemetryUnavailable:
    with pytest.raises(TelemetryUnavailable) as caught:
        read(logs, start, end)
    return caught.value


def test_the_logs_of_all_pods_are_one_table(cluster: PodLogs, logs: GuardLogs):
    cluster.pods = [GuardPod(f"pod-{number}") for number in range(20)]
    for number, pod in enumerate(cluster.pods):
        pod.log(*served(0, 10, version="v2" if number < 5 else "v1"))
    cluster.pods.append(GuardPod("other", endpoint="other"))
    cluster.pods[-1].log(*served(0, 10))
    assert read(logs, 0, 60) == {"v1": 150, "v2": 50}


def test_a_window_costs_a_list_and_a_read_of_each_pod(cluster: PodLogs, api: Api, logs: GuardLogs):
    cluster.pods = [GuardPod("one"), GuardPod("two")]
    for start in range(0, 30, 10):
        for pod in cluster.pods:
            pod.log(*served(start, start + 10))
        assert read(logs, start, start + 10) == {"v1": 20}
    assert api.calls == {"list": 3, "log": 6}


def test_envoys_own_lines_and_whatever_else_are_passed_over(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod")
    for second in range(5):
        pod.write(WARNING, '{"not": "ours"}\n', "{\n", "\n", "{}\n", stamps=[at(second)] * 5)
        pod.log(Request(at(second)))
    long = json.dumps({"start": "1", "forced": "x" * 200_000}) + "\n"
    pod.write(long, Request(at(6)).line(), stamps=[at(6), at(6)])
    pod.write(Request(at(7)).line()[:50], stamps=[at(7)])
    cluster.pods = [pod]
    assert read(logs, 0, 60) == {"v1": 6}
    assert read(logs, 3, 60) == {"v1": 3}


def test_guards_that_have_served_nothing_have_no_counts(cluster: PodLogs, logs: GuardLogs):
    silent, talking = GuardPod("silent"), GuardPod("talking")
    talking.write(WARNING, stamps=[at(1)])
    cluster.pods = [silent, talking, GuardPod("starting", is_waiting=True)]
    assert read(logs, 0, 60) == {}
    assert read(logs, 60, 120) == {}


def test_a_log_that_is_none_of_the_guards_is_no_empty_one(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod")
    pod.write(*['{"method": "GET"}\n'] * 20, stamps=[at(1)] * 20)
    cluster.pods = [pod]
    assert trouble(logs, 0, 60).reason == "telemetry.malformed"


def test_a_rotation_between_two_windows_is_told_once_and_its_time_left_out_for_all(
    cluster: PodLogs, logs: GuardLogs
):
    pod, other = GuardPod("pod"), GuardPod("other")
    cluster.pods = [pod, other]
    pod.log(*served(0, 12))
    other.log(*served(0, 40, "v2"))
    assert read(logs, 0, 10) == {"v1": 10, "v2": 10}
    pod.log(*served(12, 15))
    pod.rotate()
    pod.log(*served(15, 20))
    found = trouble(logs, 10, 20)
    assert found.reason == "telemetry.log_rotated"
    assert "pod" in found.message
    assert "containerLogMaxSize" in found.remedy
    pod.log(*served(20, 30))
    # Until second 15 one pod's lines are gone: the other's do not count either.
    assert read(logs, 10, 30) == {"v1": 15, "v2": 15}
    pod.log(*served(30, 40))
    assert read(logs, 30, 40) == {"v1": 10, "v2": 10}


def test_a_log_that_is_empty_after_a_rotation_is_told_once(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod")
    cluster.pods = [pod]
    pod.log(*served(0, 10))
    assert read(logs, 0, 10) == {"v1": 10}
    pod.rotate()
    assert trouble(logs, 10, 20).reason == "telemetry.log_rotated"
    assert read(logs, 10, 30) == {}


def test_a_rotation_that_costs_the_window_nothing_is_none(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod")
    cluster.pods = [pod]
    pod.log(*served(0, 10))
    assert read(logs, 0, 10) == {"v1": 10}
    pod.rotate()
    pod.log(*served(40, 60))
    assert read(logs, 45, 60) == {"v1": 15}


def test_a_guard_without_traffic_for_long_was_not_rotated(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod")
    cluster.pods = [pod]
    pod.log(*served(0, 10))
    assert read(logs, 0, 10) == {"v1": 10}
    for start in range(10, 300, 60):
        assert read(logs, start, start + 60) == {}
    pod.log(*served(400, 410))
    assert read(logs, 310, 420) == {"v1": 10}


def test_a_guard_that_restarted_is_read_from_before_as_well(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod")
    cluster.pods = [pod]
    pod.log(*served(0, 15))
    assert read(logs, 0, 10) == {"v1": 10}
    pod.restart(ended=at(15), began=at(16))
    pod.log(*served(17, 20))
    assert read(logs, 10, 20) == {"v1": 8}
    cluster.asked.clear()
    assert read(logs, 20, 30) == {}
    assert ["previous" in asked for asked in cluster.asked] == [False]


def test_a_guard_that_is_down_is_read_from_before(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod", is_waiting=True)
    pod.log(*served(0, 15))
    pod.runs[-1].ended = at(15)
    cluster.pods = [pod]
    assert read(logs, 0, 20) == {"v1": 15}


def test_a_guard_that_restarted_twice_has_lost_lines(cluster: PodLogs, logs: GuardLogs):
    pod, other = GuardPod("pod"), GuardPod("other")
    cluster.pods = [pod, other]
    other.log(*served(0, 20, "v2"))
    pod.log(*served(0, 5))
    pod.restart(ended=at(5), began=at(6))
    pod.log(*served(6, 8))
    pod.restart(ended=at(8), began=at(9))
    pod.log(*served(9, 20))
    found = trouble(logs, 0, 15)
    assert (found.reason, "kubectl logs pod" in found.remedy) == ("telemetry.log_lost", True)
    assert read(logs, 0, 20) == {"v1": 13, "v2": 14}


def test_a_run_before_whose_log_is_gone_is_told_once(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod", has_previous=False)
    cluster.pods = [pod]
    pod.log(*served(0, 5))
    pod.restart(ended=at(5), began=at(6))
    pod.log(*served(6, 20))
    found = trouble(logs, 0, 15)
    assert found.reason == "telemetry.log_lost"
    assert "not found" in found.message
    assert read(logs, 0, 20) == {"v1": 13}


def test_an_account_that_may_not_read_logs_is_told_of_the_role(cluster: PodLogs, logs: GuardLogs):
    cluster.pods = [GuardPod("pod", refusal=(403, 'pods "pod" is forbidden: no access to log'))]
    found = trouble(logs, 0, 60)
    assert found.reason == "telemetry.log_forbidden"
    assert "is forbidden" in found.message
    assert "pods/log" in found.remedy
    assert "rbac.yaml" in found.remedy


@pytest.mark.parametrize("status", [500, 503])
def test_a_node_that_does_not_answer_is_asked_again_and_then_named(
    cluster: PodLogs, logs: GuardLogs, status: int
):
    message = "Get https://10.1.0.4:10250/containerLogs/x: dial tcp: no route to host"
    cluster.pods = [GuardPod("gone", refusal=(status, message)), GuardPod("well")]
    found = trouble(logs, 0, 60)
    assert found.reason == "telemetry.log_unreadable"
    assert "gone" in found.message
    assert "no route" in found.message
    assert [asked["pod"] for asked in cluster.asked].count("gone") > 1
    cluster.pods[0].refusal = None
    assert read(logs, 0, 60) == {}


def test_what_a_node_says_in_the_midst_of_a_log_is_no_end(cluster: PodLogs, logs: GuardLogs):
    pod = GuardPod("pod", breaks_off="unable to retrieve container logs for containerd://a1")
    pod.log(*served(0, 10))
    cluster.pods = [pod]
    assert trouble(logs, 0, 60).reason == "telemetry.log_broken_off"


def test_refusals_of_the_api_server_keep_their_words(cluster: PodLogs, logs: GuardLogs):
    cluster.list_refusal = (403, "pods is forbidden")
    found = trouble(logs, 0, 60)
    assert found.reason == "kubernetes.forbidden"
    assert "pods is forbidden" in found.message
    cluster.list_refusal = None
    assert read(logs, 0, 60) == {}


def test_an_api_server_that_is_away_is_said_so(api: Api, tmp_path: Path):
    with pod_logs() as server:
        access = Access(kubeconfig=str(server.kubeconfig(tmp_path)))
    away = Api(connect(access), "models", patience_seconds=0.1)
    assert trouble(GuardLogs(away, tmp_path), 0, 60).reason == "kubernetes.unreachable"


def test_a_log_without_measure_is_not_taken_for_a_whole_one(
    cluster: PodLogs, api: Api, tmp_path: Path
):
    pod = GuardPod("pod")
    pod.log(*served(0, 100))
    cluster.pods = [pod]
    length = sum(len(line) for _, line in pod.runs[-1].entries)
    short = GuardLogs(api, tmp_path, longest_log_bytes=length)
    found = trouble(short, 0, 200)
    assert found.reason == "telemetry.log_too_long"
    assert cluster.asked[0]["limitBytes"] == str(length)
    assert read(GuardLogs(api, tmp_path, longest_log_bytes=length + 1), 0, 200) == {"v1": 100}
    assert read(short, 80, 200) == {"v1": 20}


def test_only_the_windows_part_is_asked_for_and_nothing_of_it_is_left(
    cluster: PodLogs, logs: GuardLogs, tmp_path: Path
):
    pod = GuardPod("pod")
    pod.log(*served(-1000, 0))
    cluster.pods = [pod]
    assert read(logs, -10.5, 0) == {"v1": 10}
    (asked,) = cluster.asked
    assert asked["sinceTime"] == "2026-11-23T11:59:44Z"
    assert asked["timestamps"] == "false"
    cache = tmp_path / "cache"
    assert [path.name for path in cache.iterdir()] == ["kql"]
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_is_said_so(cluster: PodLogs, api: Api, tmp_path: Path):
    cluster.pods = [GuardPod("pod")]
    place = tmp_path / "file"
    place.write_text("")
    found = trouble(GuardLogs(api, place / "cache"), 0, 60)
    assert found.reason == "telemetry.unreadable"
    assert str(place) in found.where
