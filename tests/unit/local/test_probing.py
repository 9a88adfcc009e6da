from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from weir.local.probing import Prober, ask
from weir.local.processes import Probe

PROBE = Probe("http", "/", period_seconds=10, timeout_seconds=1, failure_threshold=2)


class AtOnce(Executor):
    """Runs what is submitted in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Answers:
    """Gives the next of the prepared answers, the last one for ever."""

    def __init__(self, *answers: str) -> None:
        self.left = list(answers)
        self.asked = 0

    def __call__(self, *_: object) -> str:
        self.asked += 1
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def after(prober: Prober, *moments: float) -> bool | None:
    for moment in moments:
        prober.step(moment)
    return prober.well


def test_nothing_is_known_before_the_first_answer() -> None:
    assert Prober(PROBE, 1, AtOnce(), 0.0, Answers("")).well is None


def test_one_success_makes_a_process_well() -> None:
    assert after(Prober(PROBE, 1, AtOnce(), 0.0, Answers("")), 0, 0.1) is True


def tenths(seconds: int) -> list[float]:
    return [tenth / 10 for tenth in range(seconds * 10)]


def test_a_process_that_somebody_waits_for_is_asked_more_often_than_its_period() -> None:
    answers = Answers("refused")
    after(Prober(PROBE, 1, AtOnce(), 0.0, answers, impatient=True), *tenths(4))
    assert answers.asked >= 8


def test_a_patient_prober_gives_a_slow_process_its_whole_periods() -> None:
    prober = Prober(PROBE, 1, AtOnce(), 0.0, Answers("slow"))
    assert after(prober, *tenths(10)) is None
    assert after(prober, 10.2, 10.3) is False


def test_a_well_process_is_asked_once_a_period() -> None:
    answers = Answers("")
    after(Prober(PROBE, 1, AtOnce(), 0.0, answers), *(float(second) for second in range(25)))
    assert answers.asked == 3


def test_fewer_failures_than_the_threshold_change_nothing() -> None:
    prober = Prober(PROBE, 1, AtOnce(), 0.0, Answers("", "slow", ""))
    assert after(prober, 0, 1, 11, 12, 23, 24) is True


def test_as_many_failures_as_the_threshold_make_a_process_unwell() -> None:
    prober = Prober(PROBE, 1, AtOnce(), 0.0, Answers("", "slow"))
    assert after(prober, 0, 1, 11, 12, 23, 24) is False
    assert prober.reason == "slow"


def test_the_first_question_waits_for_the_initial_delay() -> None:
    answers = Answers("")
    delayed = Probe("tcp", initial_delay_seconds=5)
    prober = Prober(delayed, 1, AtOnce(), 100.0, answers)
    assert after(prober, 101, 104.9) is None
    assert after(prober, 105, 105.1) is True


def test_only_one_question_is_under_way() -> None:
    pending: list[Future[str]] = []

    class Never(Executor):
        def submit(self, *_: Any, **__: Any) -> Future[str]:
            pending.append(Future())
            return pending[-1]

    after(Prober(PROBE, 1, Never(), 0.0), 0, 10, 20, 30)
    assert len(pending) == 1


@contextmanager
def answering(raw: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(raw)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 302 Found\r\n\r\n", ""),
        (b"HTTP/1.1 500 Oh\r\n\r\n", "/ answered 500"),
        (b"SSH-2.0\r\n", "/ did not answer HTTP"),
        (b"", "/ did not answer HTTP"),
    ],
)
def test_an_answer_is_judged_by_its_status(raw: bytes, reason: str) -> None:
    with answering(raw) as port:
        assert ask(PROBE, port) == reason


def test_an_answer_has_to_show_the_wanted_text() -> None:
    wanted = replace(PROBE, wanted_text=":8080\n")
    with answering(b"HTTP/1.1 200 OK\r\n\r\nfront::127.0.0.1:8080\n") as port:
        assert ask(wanted, port) == ""
    with answering(b"HTTP/1.1 200 OK\r\n\r\nfront::127.0.0.1:80\n") as port:
        assert ask(wanted, port) == "/ does not show :8080"
    with answering(b"HTTP/1.1 503 No\r\n\r\n:8080\n") as port:
        assert ask(wanted, port) == "/ answered 503"


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask(PROBE, port) == "connection refused"


def test_silence_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = Probe("http", "/", timeout_seconds=0.05)
        assert ask(silent, server.getsockname()[1]) == "no answer within 0.05 s"
