from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.local.answering import Asked, Reply, answering
from weir.errors import UserError
from weir.local.traffic import Pace, TrafficPlan, plan_of, send
from weir.local.traffic_counts import (
    Tally,
    TrafficCounts,
    cause_of,
    read_counts,
    write_counts,
)

KEY = "a-key-nobody-may-see"


def plan(folder: Path, uri: str, **changes: object) -> TrafficPlan:
    rows, key = folder / "rows.ndjson", folder / "key"
    rows.write_text('{"row": 1}\n\n{"row": 2}\n')
    key.write_text(f"{KEY}\n")
    settings: dict[str, object] = {"rate": 0.0, "clients": 2, "maximum_requests": 40}
    settings |= {"timeout_seconds": 5.0, "duration_seconds": 20.0, **changes}
    return TrafficPlan(uri, rows, folder / "counts.json", key_file=key, **settings)


def sent(plan: TrafficPlan) -> TrafficCounts:
    """All of the traffic, sent from this process."""
    tally = Tally()
    for thread in send(plan, threading.Event(), tally):
        thread.join(20)
    return tally.counts()


@contextmanager
def started(plan: TrafficPlan) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(plan.command())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)


def test_rows_go_round_with_the_key_and_answers_are_counted_by_version(tmp_path: Path) -> None:
    def reply(_: Asked, number: int) -> Reply:
        return Reply(version="v2" if number % 4 == 0 else "v1")

    with answering(reply) as server:
        counts = sent(plan(tmp_path, server.uri))
    assert (counts.requests, counts.failed, dict(counts.statuses)) == (40, 0, {"200": 40})
    assert (counts.version("v1").requests, counts.version("v2").requests) == (30, 10)
    assert sorted({asked.body for asked in server.asked}) == [b'{"row": 1}', b'{"row": 2}']
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert counts.slowest_ms >= counts.mean_ms > 0


def test_failures_are_counted_by_cause_and_version_with_one_sample_of_each(tmp_path: Path) -> None:
    replies = [Reply(500, b"KeyError"), Reply(503, b"overflow", None), Reply(401), Reply(404)]

    with answering(lambda _, number: replies[number % 4]) as server:
        counts = sent(plan(tmp_path, server.uri, clients=1))
    assert dict(counts.causes) == {
        "model_error": 10,
        "gateway_503": 10,
        "rejected": 10,
        "client_error": 10,
    }
    assert dict(counts.version("-").causes) == {"gateway_503": 10}
    assert counts.version("v1").causes["model_error"] == 10
    assert counts.samples["model_error"] == "500 from v1: KeyError"
    assert counts.failed == 40


def test_a_lost_connection_is_a_failure_and_never_hidden_by_a_retry(tmp_path: Path) -> None:
    with answering(lambda _, number: Reply(hang_up=number % 10 == 9)) as server:
        counts = sent(plan(tmp_path, server.uri, clients=1))
    assert dict(counts.causes) == {"connection": 4}
    assert counts.statuses["none"] == 4
    assert len(server.asked) == counts.requests == 40


def test_an_answer_that_does_not_come_is_a_timeout(tmp_path: Path) -> None:
    held_back = threading.Event()
    with answering(lambda *_: Reply(wait=held_back)) as server:
        counts = sent(plan(tmp_path, server.uri, maximum_requests=2, timeout_seconds=0.1))
        held_back.set()
    assert dict(counts.causes) == {"timeout": 2}


def test_a_port_that_refuses_is_counted_and_not_hammered(tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unheard.getsockname()[1]}/score"
        begun = time.monotonic()
        counts = sent(plan(tmp_path, uri, maximum_requests=20))
    assert dict(counts.causes) == {"connection": 20}
    assert time.monotonic() - begun >= 0.09


def test_as_many_requests_are_in_flight_as_there_are_clients_and_no_more(tmp_path: Path) -> None:
    # Each answer waits for two others: fewer than three in flight would break the barrier.
    lock, inside, most = threading.Lock(), [0], [0]
    together = threading.Barrier(3, timeout=5)

    def reply(*_: object) -> Reply:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        together.wait()
        with lock:
            inside[0] -= 1
        return Reply()

    with answering(reply) as server:
        counts = sent(plan(tmp_path, server.uri, clients=3, maximum_requests=30))
    assert (most[0], counts.requests, counts.failed) == (3, 30, 0)


def test_the_pace_spreads_requests_and_a_stall_is_not_made_good_by_a_burst() -> None:
    pace = Pace(rate=100, maximum_requests=1000)
    assert [pace.take(50.0) for _ in range(3)] == [
        (0, pytest.approx(0.0)),
        (1, pytest.approx(0.01)),
        (2, pytest.approx(0.02)),
    ]
    late = [pace.take(60.0) for _ in range(12)]
    assert [delay for _, delay in late if delay == 0.0] == [0.0] * 11
    assert late[11] == (14, pytest.approx(0.01))


def test_the_pace_ends_with_the_last_request() -> None:
    pace = Pace(rate=0, maximum_requests=1)
    assert pace.take(1.0) == (0, 0.0)
    assert pace.take(1.0) is None


@pytest.mark.parametrize(
    ("status", "version", "cause"),
    [
        (200, "v1", None),
        (500, "v1", "model_error"),
        (500, "-", "status_500"),
        (502, "v1", "gateway_502"),
        (503, "-", "gateway_503"),
        (504, "v1", "gateway_504"),
        (401, "-", "rejected"),
        (422, "v1", "client_error"),
        (302, "v1", "status_302"),
    ],
)
def test_the_cause_of_a_failure_follows_from_status_and_version(
    status: int, version: str, cause: str | None
) -> None:
    assert cause_of(status, version) == cause


def test_counts_are_read_as_they_were_written(tmp_path: Path) -> None:
    tally = Tally()
    tally.add("200", "v1", None, 2.0)
    tally.add("500", "v1", "model_error", 4.0, "500 from v1: KeyError")
    counts = tally.counts("duration")
    write_counts(tmp_path / "counts.json", counts)
    assert read_counts(tmp_path / "counts.json") == counts
    assert counts.mean_ms == 3.0
    assert [path.name for path in tmp_path.iterdir()] == ["counts.json"]


def test_there_are_no_counts_before_the_first_are_written(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "counts.json") is None


def test_a_signal_ends_it_with_every_request_counted(tmp_path: Path) -> None:
    with answering() as server:
        wanted = plan(tmp_path, server.uri, rate=200.0, maximum_requests=100_000)
        with started(wanted) as process:
            until(lambda: (counts := read_counts(wanted.counters)) and counts.requests > 10)
            running = read_counts(wanted.counters)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        counts = read_counts(wanted.counters)
    assert running is not None
    assert counts is not None
    assert (running.ended, counts.ended) == ("", "SIGTERM")
    assert counts.requests == len(server.asked)


@pytest.mark.parametrize(
    ("bound", "ended"), [({"maximum_requests": 5}, "maximum_requests"), ({}, "duration")]
)
def test_it_ends_at_its_bounds(tmp_path: Path, bound: dict[str, int], ended: str) -> None:
    with answering() as server:
        settings: dict[str, object] = {"rate": 20.0, "duration_seconds": 0.5, **bound}
        settings |= {"duration_seconds": 15.0} if bound else {"maximum_requests": 1000}
        wanted = plan(tmp_path, server.uri, **settings)
        with started(wanted) as process:
            assert process.wait(15) == 0
    counts = read_counts(wanted.counters)
    assert counts is not None
    assert counts.ended == ended
    assert 0 < counts.requests <= 12


def test_it_ends_when_its_parent_dies(tmp_path: Path) -> None:
    with answering() as server:
        wanted = plan(tmp_path, server.uri, rate=50.0, maximum_requests=100_000)
        parent = (
            "import json, subprocess, sys; child = subprocess.Popen(json.loads(sys.argv[1]));"
            " print(child.pid, flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", parent, json.dumps(wanted.command())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            try:
                until(lambda: (counts := read_counts(wanted.counters)) and counts.requests)
                process.kill()
                until(lambda: (counts := read_counts(wanted.counters)) and counts.ended)
            except AssertionError:
                os.kill(child, signal.SIGKILL)
                raise
    counts = read_counts(wanted.counters)
    assert counts is not None
    assert counts.ended == "parent"


def test_the_key_never_stands_on_the_command_line(tmp_path: Path) -> None:
    assert KEY not in " ".join(plan(tmp_path, "http://127.0.0.1:1/").command())


def test_the_command_line_says_what_the_plan_says(tmp_path: Path) -> None:
    wanted = plan(tmp_path, "http://127.0.0.1:1/", rate=12.5, clients=3)
    assert plan_of(wanted.command()[3:]) == wanted


def test_the_primary_of_a_file_of_keys_is_used(tmp_path: Path) -> None:
    with answering() as server:
        wanted = plan(tmp_path, server.uri, maximum_requests=1)
        (tmp_path / "key").write_text('{"primary": "first", "secondary": "second"}')
        sent(wanted)
    assert server.asked[0].headers["authorization"] == "Bearer first"


@pytest.mark.parametrize("flag", ["--rate=-1", "--clients=0", "--duration-seconds=0"])
def test_a_bound_that_is_none_is_refused(tmp_path: Path, flag: str) -> None:
    with pytest.raises(SystemExit) as ended:
        plan_of([*plan(tmp_path, "http://h/").command()[3:], flag])
    assert ended.value.code == 2


def test_no_rows_are_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    wanted = plan(tmp_path, "http://127.0.0.1:1/")
    wanted.requests.write_text("\n")
    with pytest.raises(UserError, match="it holds no request"):
        sent(wanted)
