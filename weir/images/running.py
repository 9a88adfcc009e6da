"""Runs a builder's command: its lines are passed on, and its last ones kept."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_KEPT_LINES = 60


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``exit_status`` is None when it took too long and was ended."""

    exit_status: int | None
    last_lines: tuple[str, ...]


def run(
    command: Sequence[str],
    *,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Ended:
    """Run it to its end, with all that it starts; ``say`` is told each line. Raises OSError.

    Whatever interrupts this ends the command too; should this process be killed, the command ends
    at the next line that it writes to nobody.
    """
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if environment is None else {**os.environ, **environment},
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        too_long = threading.Event()

        def give_up() -> None:
            too_long.set()
            _end(process)

        timer = threading.Timer(timeout_seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout or ():
                kept.append(line.rstrip())
                say(line.rstrip())
            process.wait()
        finally:
            timer.cancel()
            _end(process)
    return Ended(None if too_long.is_set() else process.returncode, tuple(kept))


def _end(process: subprocess.Popen[str]) -> None:
    """End the command and what it started, unless it has ended by itself."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
