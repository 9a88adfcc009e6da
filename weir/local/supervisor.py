"""The supervisor of a home: started on demand, found again by pid and start time, ended.

Whoever starts the daemon (``weir.local.daemon``) or ends it holds the home's lock, and a starter
hands its lock over to the daemon. So nothing is started that nobody needs any more: after
``stop_everything`` no daemon comes late.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from weir.errors import PermanentError, TemporaryError, WeirError
from weir.local import pids, process_logs
from weir.local.control_loop import LOG, ControlLoop
from weir.local.disk import PRIVATE_FILE, storage_error, write_atomically
from weir.local.home import Home

STEP_SECONDS = 0.1
PATIENCE_SECONDS = 15.0

_STOP_SECONDS = 90.0
_POLL_SECONDS = 0.02
_STARTS = 3

Identity = tuple[int, float, str]
"""Pid, start time and boot; see ``weir.process_identity``."""


def ensure_supervisor(home: Path | Home, patience_seconds: float = PATIENCE_SECONDS) -> int:
    """The pid of the home's supervisor, started when none runs; idempotent.

    It runs in a session of its own and outlives the caller. Raises PermanentError
    ``supervisor.not_started`` with its last lines, TemporaryError ``supervisor.busy`` when other
    commands have been starting or ending it for ``patience_seconds``, or ``disk.*``.
    """
    home = home if isinstance(home, Home) else Home(home)
    deadline = time.monotonic() + patience_seconds
    starts = 0
    while (pid := running_supervisor(home)) is None:
        with try_lock(home) as lock:
            if lock is not None and starts < _STARTS:
                starts += 1
                _spawn(home, lock)
            elif lock is not None or time.monotonic() >= deadline:
                raise _not_started(home, held=lock is None)
        time.sleep(_POLL_SECONDS)
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
    with _lock_of_ended_supervisor(home):
        # What a killed supervisor left behind is adopted in order to be ended.
        loop = ControlLoop(home, say=lambda _message: None)
        loop.adopt(time.monotonic())
        loop.halt()
        run(loop, home, until=time.monotonic() + _STOP_SECONDS)
        if loop.is_done:
            home.forget_sockets()
    return tuple(sorted(ran))


@contextlib.contextmanager
def try_lock(home: Home) -> Iterator[int | None]:
    """The home's lock, as its descriptor; None while another process has it.

    It ends with the last process that has the descriptor. Raises PermanentError ``disk.*``.
    """
    path = home.processes.parent / "supervisor.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


def record_file(home: Home) -> Path:
    """Where the running supervisor stands written; without the file there is none."""
    return home.root / "supervisor.json"


def write_record(home: Home) -> None:
    """This process is the home's supervisor from now on."""
    identity = {
        "pid": os.getpid(),
        "started_at": pids.started_at(os.getpid()),
        "boot": pids.boot(),
    }
    write_atomically(record_file(home), json.dumps(identity), PRIVATE_FILE)


def run(loop: ControlLoop, home: Home, until: float | None = None) -> None:
    """Step until the loop is done, ``until``, or the home is removed, which halts it."""
    folder = home.root / "processes"
    while not loop.is_done and (until is None or time.monotonic() < until):
        if not folder.is_dir():
            loop.abandon()
            break
        try:
            loop.step(time.monotonic())
        except (OSError, WeirError) as error:
            loop.say(f"this step failed: {error!r}")
        if not loop.is_done:
            time.sleep(STEP_SECONDS)
    loop.close()


@contextlib.contextmanager
def _lock_of_ended_supervisor(home: Home) -> Iterator[None]:
    """The home's lock, taken from whichever supervisor runs or is just starting."""
    deadline = time.monotonic() + _STOP_SECONDS + PATIENCE_SECONDS
    asked: dict[Identity, float] = {}
    while True:
        with try_lock(home) as lock:
            if lock is not None:
                yield
                return
        now = time.monotonic()
        found = _recorded(home)
        if found is not None and found not in asked and pids.is_alive(*found):
            _signal(found, signal.SIGTERM)
            asked[found] = now
        for identity, since in asked.items():
            if now - since > _STOP_SECONDS and pids.is_alive(*identity):
                _signal(identity, signal.SIGKILL)
        if now > deadline:
            raise PermanentError(
                "supervisor.not_stopped",
                "other commands keep starting or ending the supervisor.",
                remedy="End the other weir commands, then run weir down again.",
                where=str(home.root),
            )
        time.sleep(_POLL_SECONDS)


def _signal(identity: Identity, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity[0], number)


def _spawn(home: Home, lock: int) -> None:
    """Start the daemon, which keeps ``lock``; returns when it runs by itself."""
    inherited = {name: value for name, value in os.environ.items() if name != pids.MARKER}
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    command = [sys.executable, "-m", "weir.local.daemon", "--home", str(home.root)]
    log = home.log(LOG)
    try:
        output = os.open(log, flags, PRIVATE_FILE)
    except OSError as error:
        raise storage_error(error, log) from error
    try:
        subprocess.run(
            [*command, "--lock", str(lock), "--detach"],
            env=inherited,
            cwd=home.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(lock,),
            check=False,
        )
    finally:
        os.close(output)


def _not_started(home: Home, *, held: bool) -> WeirError:
    """Why no supervisor runs. Raises PermanentError ``disk.*`` when it could not write anything."""
    log = home.log(LOG)
    if held:
        return TemporaryError(
            "supervisor.busy",
            "another command is starting or ending everything of this home.",
            remedy="Wait until it is through, then run again.",
            where=str(home.root),
        )
    trial = home.root / "supervisor.trial"
    write_atomically(trial, "as much as a supervisor has to write", PRIVATE_FILE)
    trial.unlink()
    return PermanentError(
        "supervisor.not_started",
        f"the supervisor does not start: {' | '.join(process_logs.last_lines(log, 3))}",
        remedy="Correct what its log says, then run again.",
        where=str(log),
    )


def _recorded(home: Home) -> Identity | None:
    """The last supervisor, as it wrote itself down."""
    try:
        record = json.loads(record_file(home).read_text())
        return int(record["pid"]), float(record["started_at"]), str(record["boot"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
