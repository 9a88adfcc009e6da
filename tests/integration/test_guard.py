"""What callers, probes and the access log see of a guard: a real Envoy, a trivial model server."""

from __future__ import annotations

import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.builders import version
from tests.eventually import eventually
from tests.gateway import at_once, call, load
from tests.guard import KEYS, Guard, OpenConnection
from tests.integration.test_gateway import FIELDS
from weir import envoy
from weir.endpoint import Version
from weir.envoy.guard import ADMIN_SOCKET, GuardSettings
from weir.local.telemetry import LocalTelemetry
from weir.spec.inference import Inference

PREDICT = Inference(command=("serve", "{port}"), scoring_path="/v2/predict")
PLAN = {"replica_max_concurrent_requests": 50, "scoring_timeout_ms": 700}
HEAD = f"POST /score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS.primary}\r\n"


def built(**deployment: object) -> Version:
    return version("v1", **deployment).model_copy(update={"inference": PREDICT})


@pytest.fixture(scope="module")
def fraud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    with Guard(tmp_path_factory.mktemp("fraud"), built(**PLAN)) as guard:
        yield guard


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """Its paths begin with /fraud."""
    settings = GuardSettings("fraud", "/fraud")
    with Guard(tmp_path_factory.mktemp("below"), built(**PLAN), settings=settings) as guard:
        yield guard


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """One request at a time; another may wait for 500 ms."""
    plan = built(max_request_wait_time=500)
    with Guard(tmp_path_factory.mktemp("busy"), plan, single=True) as guard:
        yield guard


def test_the_callers_path_becomes_the_model_servers_own(fraud: Guard) -> None:
    reply = fraud.send("POST", "/score?round=1")
    assert (reply.status, reply.json()["path"]) == (200, "/v2/predict?round=1")
    assert fraud.send("POST", "/other").json()["path"] == "/other"


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/fraud/score", "/v2/predict"),
        ("/fraud/score?a=/fraud/b", "/v2/predict?a=/fraud/b"),
        ("/fraud/other/score", "/other/score"),
        ("/fraud/", "/"),
        ("/fraud", "/"),
        ("/fraud?a=1", "/?a=1"),
    ],
)
def test_the_prefix_is_taken_away(below: Guard, asked: str, seen: str) -> None:
    reply = below.send("POST", asked)
    assert (reply.status, reply.json()["path"]) == (200, seen)


@pytest.mark.parametrize("path", ["/", "/score", "/fraudulent", "/fraudulent/score", "/v2/fraud/"])
def test_a_path_without_the_prefix_is_not_found(below: Guard, path: str) -> None:
    reply = below.send("POST", path)
    assert (reply.status, reply.code) == (404, "gateway.path_unknown")


@pytest.mark.parametrize("key", [None, "wrong", ""])
def test_a_caller_without_a_valid_key_is_refused(fraud: Guard, key: str | None) -> None:
    reply = fraud(key=key)
    assert (reply.status, reply.code) == (401, "gateway.key_missing_or_wrong")
    assert fraud({"x-weir-version": "v9"}, key=key).status == 401


def test_a_caller_without_a_key_does_not_learn_which_paths_there_are(below: Guard) -> None:
    refused = {"authorization": "Bearer wrong"}
    assert below.send("POST", "/other", refused).status == 401


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", ""])
@pytest.mark.parametrize("key", [KEYS.primary, KEYS.secondary])
def test_either_key_is_accepted_whatever_the_case_of_the_scheme(
    fraud: Guard, scheme: str, key: str
) -> None:
    assert fraud({"authorization": f"{scheme}{key}"}, key=None).status == 200


def test_the_model_server_never_sees_the_key(fraud: Guard) -> None:
    assert "authorization" not in fraud().json()["headers"]


def test_naming_its_own_version_is_allowed_and_any_other_not_found(fraud: Guard) -> None:
    assert fraud({"x-weir-version": "v1"}).version == "v1"
    for other in ("v2", "v1,v2", "V1", "v11"):
        reply = fraud({"x-weir-version": other})
        assert (reply.status, reply.code) == (404, "gateway.version_unknown"), other


def test_every_answer_names_the_version(fraud: Guard) -> None:
    assert {fraud(status=status).version for status in (200, 404, 500)} == {"v1"}


def test_a_request_longer_than_the_scoring_timeout_gets_504(fraud: Guard) -> None:
    reply = fraud(sleep_ms=3000)
    assert (reply.status, reply.code) == (504, "gateway.scoring_timeout")
    assert 0.6 < reply.seconds < 1.5
    (line,) = fraud.lines(code=504)
    assert (line["flags"], line["version"]) == ("UT", "v1")


def test_what_waits_behind_a_servers_only_worker_is_answered_within_the_scoring_timeout(
    tmp_path: Path,
) -> None:
    """So long, and for as long as a request waits for a slot, a pod that ends is left alone."""
    plan = built(replica_max_concurrent_requests=5, scoring_timeout_ms=1000)
    with Guard(tmp_path, plan, single=True) as guard:
        replies = at_once(5, lambda: guard(sleep_ms=450))
    assert sorted(reply.status for reply in replies) == [200, 200, 504, 504, 504]
    assert max(reply.seconds for reply in replies) < 1.4


def test_a_body_beyond_what_is_taken_in_gets_413(fraud: Guard) -> None:
    reply = fraud(text="x" * envoy.LARGEST_BODY_BYTES)
    assert (reply.status, reply.code) == (413, "gateway.body_too_large")


def test_a_caller_cannot_steer_envoy(fraud: Guard) -> None:
    assert fraud({"x-envoy-upstream-rq-timeout-ms": "50"}, sleep_ms=300).status == 200


def test_a_model_server_cannot_speak_for_the_guard(fraud: Guard) -> None:
    inner = {"x-weir-wait": "1", "x-weir-flags": "UO", "x-weir-version": "v9"}
    reply = fraud(status=503, response_headers=inner)
    assert (reply.status, reply.version) == (503, "v1")
    assert not {"x-weir-wait", "x-weir-flags", "x-weir-host"} & reply.headers.keys()


def test_a_line_of_the_log_is_as_a_gateways(fraud: Guard) -> None:
    before = time.time()
    fraud.send("POST", "/log?secret=1", {"x-weir-version": "v1"})
    (line,) = fraud.lines(path="/log")
    assert line.keys() == FIELDS
    assert (line["code"], line["flags"], line["details"]) == (200, "-", "via_upstream")
    assert (line["version"], line["forced"], line["attempts"]) == ("v1", "v1", 1)
    assert line["host"] == f"127.0.0.1:{fraud.model_port}"
    assert before - 0.001 <= float(line["start"]) <= time.time()
    text = fraud.stdout.read_text() + fraud.stderr.read_text()
    assert not [word for word in (KEYS.primary, KEYS.secondary, "secret=1") if word in text]


def test_the_log_is_what_the_laptops_telemetry_reads(fraud: Guard, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    report = {"x-weir-metrics": "score=0.5", "x-weir-labels": "prediction=approve"}
    replies = [fraud.send("POST", f"/read/{number}") for number in range(4)]
    replies += [fraud(response_headers=report) for _ in range(10)]
    replies += [fraud(status=500), fraud({"x-weir-version": "v1"}), fraud(key="wrong")]
    assert not {name for reply in replies for name in reply.headers} & report.keys()
    fraud.send("POST", "/read/last")
    fraud.lines(path="/read/last")
    log = tmp_path / "endpoints" / "fraud" / "gateway" / "access.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(fraud.stdout.read_bytes())
    found = LocalTelemetry(tmp_path).read("fraud", before, datetime.now(UTC), before)["v1"]
    assert (found.requests, found.failures_by_class) == (16, {"server_error": 1})
    assert found.metrics["score"].n == 10
    assert found.labels == {"prediction": {"approve": 10}}


def test_a_request_that_finds_no_slot_waits_and_then_gets_503(busy: Guard) -> None:
    replies = at_once(4, lambda: busy(sleep_ms=2500))
    refused = [reply for reply in replies if reply.status == 503]
    (served,) = (reply for reply in replies if reply.status == 200)
    assert {reply.code for reply in refused} == {"gateway.overloaded"}
    assert {reply.version for reply in refused} == {"v1"}
    assert all(0.3 < reply.seconds < served.seconds for reply in refused)
    lines = busy.lines(3, code=503)
    assert {(x["flags"], x["version"]) for x in lines} == {("UO", "v1")}


def test_a_waiting_request_is_served_when_the_slot_frees(busy: Guard) -> None:
    replies = at_once(2, lambda: busy(sleep_ms=200))
    assert [reply.status for reply in replies] == [200, 200]
    assert max(reply.seconds for reply in replies) > 0.38


def test_a_caller_who_sends_slowly_keeps_no_slot_busy(busy: Guard) -> None:
    with socket.create_connection(("127.0.0.1", busy.port)) as slow:
        slow.sendall(f"{HEAD}Content-Length: 2\r\n\r\n{{".encode())
        assert [busy().status for _ in range(3)] == [200] * 3
        slow.sendall(b"}")
        assert slow.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_caller_keeps_his_connection_and_the_model_server_none(fraud: Guard) -> None:
    before = fraud.stat("cluster.v1.replicas.upstream_cx_total")
    caller = OpenConnection(fraud.port)
    assert [caller.score() for _ in range(5)] == [200] * 5
    caller.close()
    assert fraud.stat("cluster.v1.replicas.upstream_cx_total") == before + 5


def test_a_probe_needs_no_key_and_is_neither_logged_nor_counted(fraud: Guard) -> None:
    nobody = {"authorization": ""}
    probes = [fraud.send("GET", f"/probe/{n}", nobody, fraud.probe_port) for n in range(3)]
    assert {(reply.status, reply.body) for reply in probes} == {(200, b"healthy")}
    fraud.send("GET", "/after-the-probes")
    fraud.lines(path="/after-the-probes")
    assert not [x for x in fraud.log() if x["path"].startswith("/probe")]


def test_the_probes_port_is_no_way_round_the_key(fraud: Guard) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        reply = fraud.send(method, "/score", {"authorization": ""}, fraud.probe_port)
        assert reply.status == 405, method


def test_a_probe_is_answered_while_every_slot_is_taken(tmp_path: Path) -> None:
    with Guard(tmp_path, built()) as guard:
        scoring = threading.Thread(target=lambda: guard(sleep_ms=1500))
        scoring.start()
        eventually(lambda: guard.stat("cluster.v1.replicas.upstream_rq_active") == 1)
        assert guard.send("GET", "/", port=guard.probe_port).status == 200
        assert scoring.is_alive()
        scoring.join()


def test_a_request_waits_for_a_model_server_that_is_restarting(tmp_path: Path) -> None:
    with Guard(tmp_path, built(max_request_wait_time=20_000)) as guard:
        guard.kill_model()
        replies = []
        caller = threading.Thread(target=lambda: replies.append(guard()))
        caller.start()
        eventually(lambda: guard.stat("cluster.v1.replicas.upstream_cx_connect_fail") > 3)
        guard.start_model()
        caller.join()
    assert [reply.status for reply in replies] == [200]


def test_a_model_server_that_stays_away_is_said_to_be_away(tmp_path: Path) -> None:
    with Guard(tmp_path, built(max_request_wait_time=500)) as guard:
        guard.kill_model()
        reply = guard()
        assert (reply.status, reply.code, reply.version) == (503, "gateway.no_replica", "v1")
        assert 0.3 < reply.seconds < 2
        (line,) = guard.log()
        assert (line["flags"], line["version"]) == ("URX,UF", "v1")
        assert guard.send("GET", "/", port=guard.probe_port).status == 503


def test_of_many_requests_to_a_dead_model_server_none_is_told_that_it_is_busy(
    tmp_path: Path,
) -> None:
    with Guard(tmp_path, built(max_request_wait_time=40)) as guard:
        guard.kill_model()
        assert {guard().code for _ in range(60)} == {"gateway.no_replica"}


def test_an_answer_longer_than_any_buffer_arrives_whole(tmp_path: Path) -> None:
    with Guard(tmp_path, built()) as guard:
        lengths = {len(guard(answer_bytes=20_000_000).body) for _ in range(3)}
    assert lengths == {20_000_000}


@pytest.mark.parametrize("retry_on_reset", [True, False])
def test_a_request_on_which_the_model_server_died_is_scored_again_only_where_that_is_wanted(
    tmp_path: Path, retry_on_reset: bool
) -> None:
    plan = built(max_request_wait_time=20_000, retry_on_reset=retry_on_reset)
    with Guard(tmp_path, plan) as guard:
        replies = []
        caller = threading.Thread(target=lambda: replies.append(guard(sleep_ms=300)))
        caller.start()
        eventually(lambda: guard.stat("cluster.v1.replicas.upstream_rq_active") == 1)
        guard.kill_model()
        guard.start_model()
        caller.join()
        (line,) = guard.log()
    (reply,) = replies
    if retry_on_reset:
        assert (reply.status, line["flags"]) == (200, "-")
    else:
        assert (reply.status, reply.code) == (503, "gateway.replica_failed")
        assert line["flags"] == "UC"


def test_another_configuration_is_taken_up_under_load_without_a_failure(tmp_path: Path) -> None:
    with Guard(tmp_path, built(**PLAN)) as guard:
        with load(lambda: call(guard.port, KEYS.primary), clients=2) as replies:
            for number in range(10):
                plan = built(**{**PLAN, "max_request_wait_time": 500 + number})
                wanted = guard.files(version=plan)
                guard.config.put(wanted)
                version_text = f'"{envoy.version_info(wanted["rds.yaml"])}"'
                name = "http.front.rds.front.version_text: "
                eventually(lambda text=name + version_text: text in guard.admin("GET", "/stats"))
        assert {reply.status for reply in replies} == {200}
        guard.config.put(guard.files(settings=GuardSettings("fraud", "/fraud")))
        eventually(lambda: guard.send("POST", "/fraud/score").json().get("path") == "/v2/predict")
        assert guard.send("POST", "/score").status == 404


def test_a_draining_guard_serves_on_and_closes_every_connection_after_an_answer(
    tmp_path: Path,
) -> None:
    with Guard(tmp_path, built(**PLAN)) as guard:
        assert "connection" not in guard().headers
        guard.admin("POST", "/healthcheck/fail")
        replies = [guard() for _ in range(3)]
        assert {(r.status, r.headers["connection"]) for r in replies} == {(200, "close")}


def test_a_guard_that_is_terminated_ends_and_loses_no_line_of_its_log(tmp_path: Path) -> None:
    with Guard(tmp_path, built(**PLAN)) as guard:
        for number in range(20):
            guard.send("POST", f"/{number}")
        assert guard.envoy is not None
        guard.envoy.send_signal(signal.SIGTERM)
        assert guard.envoy.wait(10) == 0
        assert [line["path"] for line in guard.log(20)] == [f"/{number}" for number in range(20)]


def test_the_admin_socket_is_its_users_alone(fraud: Guard) -> None:
    assert stat.S_IMODE((fraud.run / ADMIN_SOCKET).stat().st_mode) == 0o600
