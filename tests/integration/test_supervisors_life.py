"""The supervisor's own life: killed, started anew by whoever comes, ended with all it made."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.eventually import eventually
from tests.supervised import kill_supervisor, pid_of, ready, server, start
from weir.errors import PermanentError, TemporaryError
from weir.local import pids, supervisor
from weir.local.home import Home
from weir.local.process_logs import last_lines
from weir.local.supervisor import ensure_supervisor, running_supervisor, stop_everything


def test_a_new_supervisor_adopts_what_the_killed_one_started(home: Home) -> None:
    table = start(home, server("a"), server("b"))
    before = [ready(table, name) for name in ("a", "b")]
    kill_supervisor(home)
    ensure_supervisor(home)
    os.kill(pid_of(before[0]), signal.SIGKILL)
    after = ready(table, "a", other_than=before[0].pid)
    assert after.port == before[0].port
    assert ready(table, "b").pid == before[1].pid


def test_a_process_whose_pid_was_never_written_down_is_found_by_its_marker(home: Home) -> None:
    table = start(home, server("a"))
    before = ready(table, "a")
    kill_supervisor(home)
    intent = {**json.loads(before.to_json()), "pid": None, "state": "starting"}
    home.process_status("a").write_text(json.dumps(intent))
    ensure_supervisor(home)
    assert ready(table, "a").pid == before.pid


def test_a_process_that_was_restarted_without_room_to_write_it_down_is_found(home: Home) -> None:
    table = start(home, server("a"))
    before = ready(table, "a")
    status = home.process_status("a").read_text()
    os.kill(pid_of(before), signal.SIGKILL)
    after = ready(table, "a", other_than=before.pid)
    kill_supervisor(home)
    home.process_status("a").write_text(status)
    ensure_supervisor(home)
    assert ready(table, "a").pid == after.pid
    assert len(list(pids.marked(f"{home.digest}/"))) == 1


def test_a_process_of_which_no_status_knows_is_ended_before_another_is_started(home: Home) -> None:
    table = start(home, server("a"))
    before = ready(table, "a")
    kill_supervisor(home)
    home.process_status("a").unlink()
    ensure_supervisor(home)
    assert ready(table, "a").pid != before.pid
    assert not pids.is_alive(pid_of(before), before.process_started_at)


def test_no_kill_of_the_supervisor_leads_to_two_copies(home: Home) -> None:
    names = ["a", "b", "c"]
    table = start(home)
    moments = random.Random(7)
    for round_number in range(6):
        for name in names:
            table.put(server(name, env={"ROUND": str(round_number)}))
        time.sleep(moments.uniform(0.0, 0.4))  # the moment of the kill is what is varied
        kill_supervisor(home)
        ensure_supervisor(home)
    statuses = {name: ready(table, name) for name in names}
    running = {mark.split("/")[1]: pid for pid, mark in pids.marked(f"{home.digest}/")}
    assert running == {name: status.pid for name, status in statuses.items()}
    assert len(list(pids.marked(f"{home.digest}/"))) == len(names)


def start_by_commands(home: Home) -> set[str]:
    """The pids that three commands at once find, each of which wants a supervisor."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from weir.local.supervisor import ensure_supervisor\n"
        "print(ensure_supervisor(Path(sys.argv[1])))"
    )
    commands = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    # The pipes close: the daemon keeps nothing of the command that started it.
    return {command.communicate(timeout=30)[0].strip() for command in commands}


def daemons_of(home: Home) -> list[int]:
    wanted = ["weir.local.daemon", "--home", str(home.root)]
    found = psutil.process_iter(["cmdline"])
    return [p.pid for p in found if set(wanted) <= set(p.info["cmdline"] or ())]


def test_commands_at_once_start_one_supervisor_and_none_comes_later(home: Home) -> None:
    for _ in range(4):
        assert start_by_commands(home) == {str(running_supervisor(home))}
        stop_everything(home)
        assert daemons_of(home) == []


def test_nothing_is_started_while_another_command_ends_everything(home: Home) -> None:
    with supervisor.try_lock(home) as lock:
        assert lock is not None
        with pytest.raises(TemporaryError, match="starting or ending"):
            ensure_supervisor(home, patience_seconds=0.3)
        assert daemons_of(home) == []
    pid = ensure_supervisor(home)
    assert daemons_of(home) == [pid]


def test_a_supervisor_that_cannot_start_is_said_with_its_last_words(home: Home) -> None:
    supervisor.record_file(home).mkdir(parents=True)
    with pytest.raises(PermanentError, match=r"does not start: .*cannot be written"):
        ensure_supervisor(home)
    assert daemons_of(home) == []


def test_down_ends_everything_it_made_and_nothing_else(home: Home) -> None:
    table = start(home, server("a"), server("b"))
    ours = [ready(table, name) for name in ("a", "b")]
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            assert stop_everything(home) == ("a", "b")
            assert running_supervisor(home) is None
            assert not any(pids.is_alive(pid_of(s), s.process_started_at) for s in ours)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_down_also_ends_what_a_killed_supervisor_left(home: Home) -> None:
    table = start(home, server("a"))
    status = ready(table, "a")
    kill_supervisor(home)
    assert stop_everything(home) == ("a",)
    assert not pids.is_alive(pid_of(status), status.process_started_at)


def test_what_down_ended_is_restored_on_its_old_port(home: Home) -> None:
    table = start(home, server("a"))
    before = ready(table, "a")
    stop_everything(home)
    assert table.recorded("a") is not None
    ensure_supervisor(home)
    assert ready(table, "a").port == before.port


def test_a_request_in_flight_is_finished_before_the_process_ends(home: Home) -> None:
    script = (
        "import signal, time\nstop = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: stop.append(1))\n"
        "print('up', flush=True)\nwhile not stop: time.sleep(0.01)\n"
        "time.sleep(0.5)\nprint('finished', flush=True)"
    )
    argv = (sys.executable, "-c", script)
    table = start(home, server("a", argv=argv, readiness=None, needs_port=False))
    eventually(lambda: "up" in last_lines(home.log("a"), 1))
    table.remove("a")
    table.wait_gone("a", 10)
    assert last_lines(home.log("a"), 9) == ("up", "finished")
