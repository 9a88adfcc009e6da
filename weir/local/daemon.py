"""The supervisor daemon: ``python -m weir.local.daemon --home HOME``, in the foreground.

SIGTERM has it end every process and itself; killed otherwise it leaves the processes running, to
be adopted. Commands start it detached; see ``supervisor``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
import time
from pathlib import Path

from weir.errors import WeirError
from weir.local.control_loop import ControlLoop
from weir.local.home import Home
from weir.local.supervisor import record_file, run, try_lock, write_record

_OPEN_FILES = 65_536


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m weir.local.daemon", description=__doc__)
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("--lock", type=int, help="descriptor of the lock that the starter took")
    parser.add_argument("--detach", action="store_true", help="fork, so that nobody waits for it")
    options = parser.parse_args(arguments)
    home = Home(options.home)
    if options.detach and os.fork():
        # The parent of a long-lived caller's child would have to be reaped; init does it now.
        os._exit(0)
    try:
        if options.lock is not None:
            # Nothing that is started from here may keep the lock.
            os.set_inheritable(options.lock, False)
            supervise(home)
            return 0
        with try_lock(home) as lock:
            if lock is None:
                _say(f"{home.root} has a supervisor already, or it is being ended")
                return 1
            supervise(home)
    except WeirError as error:
        _say(str(error))
        return error.exit_status
    return 0


def supervise(home: Home) -> None:
    """Run the processes of ``home``, whose lock this process has, until SIGTERM."""
    os.umask(0o077)
    _raise_open_files()
    loop = ControlLoop(home, say=_say)

    def halt(*_: object) -> None:
        # A command that needs a supervisor from now on has to start another.
        record_file(home).unlink(missing_ok=True)
        loop.halt()

    signal.signal(signal.SIGTERM, halt)
    # Handlers, not SIG_IGN: an ignored signal would stay ignored in every process started.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda *_: None)
    # First the record: with a full disk nobody could find this supervisor, and what runs is left.
    write_record(home)
    loop.adopt(time.monotonic())
    _say(f"supervising {home.root}, pid {os.getpid()}")
    run(loop, home)
    _say("ended")


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
