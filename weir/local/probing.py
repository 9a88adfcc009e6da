"""Probes: one question to one process, and what a row of answers means."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future

from weir.local.processes import Probe

STARTING_PERIOD_SECONDS = 0.25
"""An impatient prober asks this often while the process is not well: somebody waits for it."""

_LONGEST_ANSWER = 65_536


def ask(probe: Probe, port: int | None) -> str:
    """Ask once. Empty when the process is well, else what is wrong, in a few words."""
    deadline = time.monotonic() + probe.timeout_seconds
    try:
        with _connected(probe, port) as connection:
            if probe.kind == "tcp":
                return ""
            request = (
                f"GET {probe.target} HTTP/1.1\r\nHost: localhost\r\n"
                "User-Agent: weir-probe\r\nConnection: close\r\n\r\n"
            )
            connection.sendall(request.encode("ascii", "replace"))
            answer = _answer(connection, deadline, whole=bool(probe.wanted_text))
            said = _judge(answer.split(b"\r\n", 1)[0], probe.target)
            if said or probe.wanted_text.encode() in answer:
                return said
            return f"{probe.target} does not show {probe.wanted_text.strip()}"
    except TimeoutError:
        return f"no answer within {probe.timeout_seconds:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()


class Prober:
    """Asks in the background, one question at a time, and counts answers in a row.

    ``well`` is None until a threshold was reached; ``reason`` is the last failure's.
    """

    def __init__(
        self,
        probe: Probe,
        port: int | None,
        executor: Executor,
        now: float,
        question: Callable[[Probe, int | None], str] = ask,
        impatient: bool = False,
    ) -> None:
        self.well: bool | None = None
        self.reason = ""
        self._probe = probe
        self._port = port
        self._executor = executor
        self._question = question
        self._impatient = impatient
        self._next_at = now + probe.initial_delay_seconds
        self._row = 0
        self._pending: Future[str] | None = None

    def hurry(self, now: float) -> None:
        """Do not wait for the rest of the initial delay."""
        self._next_at = min(self._next_at, now)

    def step(self, now: float) -> None:
        """Take an answer that has arrived, ask again when it is time. Never waits."""
        if self._pending is not None and self._pending.done():
            self._take(self._pending.result(), now)
            self._pending = None
        if self._pending is None and now >= self._next_at:
            self._pending = self._executor.submit(self._question, self._probe, self._port)

    def _take(self, reason: str, now: float) -> None:
        period = self._probe.period_seconds
        success = not reason
        self._row = (max(self._row, 0) + 1) if success else (min(self._row, 0) - 1)
        if success and self._row >= self._probe.success_threshold:
            self.well, self.reason = True, ""
        elif not success:
            self.reason = reason
            if -self._row >= self._probe.failure_threshold:
                self.well = False
        hurry = self._impatient and not self.well
        self._next_at = now + (min(period, STARTING_PERIOD_SECONDS) if hurry else period)


def _connected(probe: Probe, port: int | None) -> socket.socket:
    if probe.kind == "unix_http":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(probe.timeout_seconds)
        try:
            connection.connect(probe.socket_path)
        except BaseException:
            connection.close()
            raise
        return connection
    return socket.create_connection(("127.0.0.1", port or 0), timeout=probe.timeout_seconds)


def _answer(connection: socket.socket, deadline: float, *, whole: bool) -> bytes:
    """The answer up to the end of its first line, or as much of the whole as a probe reads."""
    received = b""
    while (whole or b"\r\n" not in received) and len(received) < _LONGEST_ANSWER:
        # A server that sends a byte now and then must not stretch the timeout.
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(_LONGEST_ANSWER)
        if not chunk:
            break
        received += chunk
    return received


def _judge(status_line: bytes, target: str) -> str:
    parts = status_line.split()
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        return f"{target} did not answer HTTP"
    status = int(parts[1])
    return "" if 200 <= status < 400 else f"{target} answered {status}"
