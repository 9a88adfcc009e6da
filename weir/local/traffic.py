"""Bounded scoring traffic: ``python -m weir.local.traffic --help``.

Several clients, each with at most one request in flight, share one pace and go round the rows.
Nothing is retried: a request that failed is counted as failed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from weir.errors import UserError, WeirError
from weir.local.posting import Answer, Connection, Target
from weir.local.traffic_counts import UNKNOWN_VERSION, Tally, cause_of, write_counts

WRITE_EVERY_SECONDS = 0.25
LONGEST_DEBT_SECONDS = 0.1
"""How much lateness is made good after a stall; more would come as a burst."""


@dataclass(frozen=True)
class TrafficPlan:
    """``rate`` in requests per second, 0 for as fast as ``clients`` can; both ends are bounded."""

    uri: str
    requests: Path
    counters: Path
    key_file: Path | None = None
    rate: float = 150.0
    clients: int = 8
    duration_seconds: float = 900.0
    maximum_requests: int = 1_000_000
    timeout_seconds: float = 60.0

    def command(self) -> list[str]:
        """The command line that sends this traffic from a process of its own."""
        command = [sys.executable, "-m", "weir.local.traffic", "--uri", self.uri]
        command += ["--requests", str(self.requests), "--counters", str(self.counters)]
        if self.key_file is not None:
            command += ["--key-file", str(self.key_file)]
        command += ["--rate", str(self.rate), "--clients", str(self.clients)]
        command += ["--duration-seconds", str(self.duration_seconds)]
        command += ["--maximum-requests", str(self.maximum_requests)]
        return [*command, "--timeout-seconds", str(self.timeout_seconds)]


class Pace:
    """Hands out request numbers, each with the seconds to wait before sending it."""

    def __init__(self, rate: float, maximum_requests: int) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._maximum = maximum_requests
        self._numbers = itertools.count()
        self._next_at = 0.0
        self._lock = threading.Lock()

    def take(self, now: float) -> tuple[int, float] | None:
        """(number, seconds to wait); None when the last request has been handed out."""
        with self._lock:
            number = next(self._numbers)
            if number >= self._maximum:
                return None
            at = max(self._next_at, now - LONGEST_DEBT_SECONDS) if self._next_at else now
            self._next_at = at + self._interval
            return number, max(0.0, at - now)


def send(plan: TrafficPlan, should_end: threading.Event, tally: Tally) -> list[threading.Thread]:
    """Start the clients; they run until ``should_end`` or the last request. Raises UserError."""
    target = Target.of(plan.uri)
    rows = _rows(plan.requests)
    headers = {"Content-Type": "application/json"}
    if plan.key_file is not None:
        headers["Authorization"] = f"Bearer {_key(plan.key_file)}"
    pace = Pace(plan.rate, plan.maximum_requests)

    def client() -> None:
        connection = Connection(target, headers, timeout_seconds=plan.timeout_seconds)
        with contextlib.closing(connection):
            while not should_end.is_set():
                taken = pace.take(time.monotonic())
                if taken is None:
                    return
                number, delay = taken
                if delay and should_end.wait(delay):
                    return
                failed = _send_one(connection, rows[number % len(rows)], tally)
                if failed:
                    # A port that refuses would otherwise be tried without pause.
                    should_end.wait(0.01)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(plan.clients)]
    for thread in threads:
        thread.start()
    return threads


def _send_one(connection: Connection, row: bytes, tally: Tally) -> bool:
    """Send one request and count it; whether the connection failed."""
    begun = time.perf_counter()
    try:
        answer = connection.post(row)
    except TimeoutError:
        tally.add("none", UNKNOWN_VERSION, "timeout", _since_ms(begun), "no answer in time")
        return True
    except OSError as error:
        words = error.strerror or str(error)
        tally.add("none", UNKNOWN_VERSION, "connection", _since_ms(begun), words)
        return True
    version = answer.headers.get("x-weir-version", UNKNOWN_VERSION)
    cause = cause_of(answer.status, version)
    words = _quoted(answer, version) if cause else ""
    tally.add(str(answer.status), version, cause, _since_ms(begun), words)
    return False


def _since_ms(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


def _quoted(answer: Answer, version: str) -> str:
    text = answer.body.decode("utf-8", "replace").strip()
    return f"{answer.status} from {version}: {text}"


def run(plan: TrafficPlan) -> None:
    """Send until a bound, a signal, or the death of the parent; counts stand in the file."""
    parent = os.getppid()
    signalled: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        # Only a note: an Event taken by the interrupted thread would lock itself out here.
        signalled.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    should_end, tally = threading.Event(), Tally()
    threads = send(plan, should_end, tally)
    ends_at = time.monotonic() + plan.duration_seconds
    ended = ""
    while not ended:
        with contextlib.suppress(OSError):
            write_counts(plan.counters, tally.counts())
        time.sleep(max(0.0, min(WRITE_EVERY_SECONDS, ends_at - time.monotonic())))
        if signalled:
            ended = signal.Signals(signalled[0]).name
        elif os.getppid() != parent:
            ended = "parent"
        elif time.monotonic() >= ends_at:
            ended = "duration"
        elif not any(thread.is_alive() for thread in threads):
            ended = "maximum_requests"
    should_end.set()
    patience_ends_at = time.monotonic() + 5
    for thread in threads:
        thread.join(max(0.0, patience_ends_at - time.monotonic()))
    write_counts(plan.counters, tally.counts(ended))


def _rows(path: Path) -> list[bytes]:
    try:
        rows = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error
    if not rows:
        raise _unusable(path, "it holds no request")
    return rows


def _key(path: Path) -> str:
    """The key in a file that holds it alone, or as ``primary`` of a JSON object."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error
    key = json.loads(text)["primary"] if text.startswith("{") else text
    return str(key)


def _unusable(path: Path, why: str) -> UserError:
    return UserError(
        "traffic.file", f"{why}.", remedy="Name a file that is there.", where=str(path)
    )


def plan_of(arguments: Sequence[str] | None = None) -> TrafficPlan:
    """The plan on the command line; a mistake ends the process with status 2."""
    parser = argparse.ArgumentParser(prog="python -m weir.local.traffic", description=__doc__)
    parser.add_argument("--uri", required=True, help="http://127.0.0.1:PORT/score")
    parser.add_argument("--requests", required=True, type=Path, help="NDJSON, a request a line")
    parser.add_argument("--counters", required=True, type=Path, help="JSON file that is kept new")
    parser.add_argument("--key-file", type=Path, help="the key alone, or keys.json")
    defaults = TrafficPlan("", Path(), Path())
    bounds = {
        "rate": "requests per second; 0 is as fast as the clients can",
        "clients": "requests in flight at most",
        "duration_seconds": "end after this time",
        "maximum_requests": "end after so many requests",
        "timeout_seconds": "how long an answer may be awaited",
    }
    for name, meaning in bounds.items():
        default = getattr(defaults, name)
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(
            flag, type=type(default), default=default, help=f"{meaning} ({default:g})"
        )
    plan = TrafficPlan(**vars(parser.parse_args(arguments)))
    for name in bounds:
        if not (getattr(plan, name) > 0 or (name == "rate" and plan.rate == 0)):
            parser.error(f"--{name.replace('_', '-')} has to be greater than 0")
    return plan


if __name__ == "__main__":
    try:
        run(plan_of())
    except WeirError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
