"""The supervisor daemon: one per home, started on demand, found again by pid and start time.

``python -m weir.local.supervisor --home HOME`` runs it in the foreground. SIGTERM has it end
every process and itself; killed otherwise it leaves the processes running, to be adopted.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from weir.errors import PermanentError, WeirError
from weir.local import pids, process_logs
from weir.local.control_loop import LOG, ControlLoop
from weir.local.home import PRIVATE_FILE, Home, write_atomically

STEP_SECONDS = 0.1

_START_SECONDS = 15.0
_STOP_SECONDS = 90.0
_OPEN_FILES = 65_536


def ensure_supervisor(home: Path | Home) -> int:
    """The pid of the home's supervisor, started when none runs; idempotent.

    It runs in a session of its own and outlives the caller. Raises PermanentError
    ``supervisor.not_started`` with its last lines, or ``disk.*``.
    """
    home = home if isinstance(home, Home) else Home(home)
    deadline = time.monotonic() + _START_SECONDS
    while (pid := running_supervisor(home)) is None:
        _spawn(home)
        patience = min(time.monotonic() + 5, deadline)
        while (pid := running_supervisor(home)) is None and time.monotonic() < patience:
            time.sleep(0.02)
        if pid is None and time.monotonic() >= deadline:
            raise PermanentError(
                "supervisor.not_started",
                f"the supervisor did not start within {_START_SECONDS:g} s: "
                + " | ".join(process_logs.last_lines(home.log(LOG), 3)),
                remedy="Correct what its log says, then run again.",
                where=str(home.log(LOG)),
            )
    return pid


def running_supervisor(home: Path | Home) -> int | None:
    """The pid of the home's supervisor; None when none runs, or only one that is ending."""
    found = _recorded(home if isinstance(home, Home) else Home(home))
    return found[0] if found and pids.is_alive(*found) else None


def stop_everything(home: Path | Home) -> tuple[str, ...]:
    """End the supervisor and every process of this home, and no other; names of those that ran.

    Specs stay: the next ``ensure_supervisor`` restores everything. Works without a running
    supervisor too. Raises PermanentError ``supervisor.not_stopped``.
    """
    home = home if isinstance(home, Home) else Home(home)
    if not home.root.is_dir():
        return ()
    ran = {mark.split("/")[1] for _, mark in pids.marked(f"{home.digest}/")}
    found = _recorded(home)
    if found is not None and pids.is_alive(*found):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGTERM)
        _wait_for_end(*found)
    with _lock(home, _START_SECONDS) as locked:
        if not locked:
            raise PermanentError(
                "supervisor.not_stopped",
                "another supervisor was started while this one was being stopped.",
                remedy="End the other weir commands, then run weir down again.",
                where=str(home.root),
            )
        # What a killed supervisor left behind is adopted in order to be ended.
        loop = ControlLoop(home, say=lambda _message: None)
        loop.adopt(time.monotonic())
        loop.halt()
        _run(loop, home, until=time.monotonic() + _STOP_SECONDS)
    return tuple(sorted(ran))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m weir.local.supervisor", description=__doc__)
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("--detach", action="store_true", help="fork, so that nobody waits for it")
    options = parser.parse_args(arguments)
    home = Home(options.home)
    if options.detach and os.fork():
        # The parent of a long-lived caller's child would have to be reaped; init does it now.
        os._exit(0)
    with _lock(home, 5.0, unless=lambda: running_supervisor(home) is not None) as locked:
        if not locked:
            return 0
        _supervise(home)
    return 0


def _supervise(home: Home) -> None:
    os.umask(0o077)
    _raise_open_files()
    loop = ControlLoop(home, say=_say)
    record_file = home.root / "supervisor.json"

    def halt(*_: object) -> None:
        # A command that needs a supervisor from now on has to start another.
        record_file.unlink(missing_ok=True)
        loop.halt()

    signal.signal(signal.SIGTERM, halt)
    # Handlers, not SIG_IGN: an ignored signal would stay ignored in every process started.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda *_: None)
    record = {
        "pid": os.getpid(),
        "started_at": pids.started_at(os.getpid()),
        "boot": pids.boot(),
    }
    loop.adopt(time.monotonic())
    write_atomically(record_file, json.dumps(record), PRIVATE_FILE)
    _say(f"supervising {home.root}, pid {os.getpid()}")
    _run(loop, home)
    _say("ended")


def _run(loop: ControlLoop, home: Home, until: float | None = None) -> None:
    """Step until the loop is done, ``until``, or the home is removed, which halts it."""
    folder = home.root / "processes"
    while not loop.is_done and (until is None or time.monotonic() < until):
        if not folder.is_dir():
            loop.abandon()
            break
        try:
            loop.step(time.monotonic())
        except (OSError, WeirError) as error:
            _say(f"this step failed: {error!r}")
        if not loop.is_done:
            time.sleep(STEP_SECONDS)
    loop.close()


def _spawn(home: Home) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != pids.MARKER}
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    output = os.open(home.log(LOG), flags, PRIVATE_FILE)
    try:
        subprocess.run(
            [sys.executable, "-m", "weir.local.supervisor", "--home", str(home.root), "--detach"],
            env=inherited,
            cwd=home.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(output)


@contextlib.contextmanager
def _lock(
    home: Home, timeout_seconds: float, unless: Callable[[], bool] = lambda: False
) -> Iterator[bool]:
    """The right to supervise ``home``; False when another process kept it all the time.

    Stops waiting as soon as ``unless`` is true.
    """
    descriptor = os.open(
        home.processes.parent / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        deadline = time.monotonic() + timeout_seconds
        locked = False
        while not locked:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except BlockingIOError:
                if time.monotonic() > deadline or unless():
                    break
                time.sleep(0.05)
        yield locked
    finally:
        os.close(descriptor)


def _recorded(home: Home) -> tuple[int, float, str] | None:
    """Pid, start time and boot that the last supervisor wrote down."""
    try:
        record = json.loads((home.root / "supervisor.json").read_text())
        return int(record["pid"]), float(record["started_at"]), str(record["boot"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _wait_for_end(pid: int, started_at: float, boot: str) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while pids.is_alive(pid, started_at, boot):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.02)


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _say(message: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
