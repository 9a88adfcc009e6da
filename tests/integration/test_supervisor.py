"""The supervisor with real processes: starting, restarting, adopting, ending."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.fakes import backend
from weir.errors import PermanentError, TemporaryError
from weir.local import pids, supervisor
from weir.local.home import Home
from weir.local.process_logs import last_lines
from weir.local.processes import Probe, ProcessSpec, ProcessStatus, ProcessTable
from weir.local.supervisor import ensure_supervisor, running_supervisor, stop_everything

PROBE = Probe("http", "/", period_seconds=0.2, timeout_seconds=1, failure_threshold=2)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    try:
        yield home
    finally:
        stop_everything(home)


def server(name: str, **changes: object) -> ProcessSpec:
    spec = ProcessSpec(
        name=name,
        argv=(sys.executable, backend.__file__, name, "{port}"),
        needs_port=True,
        readiness=PROBE,
        grace_seconds=3,
    )
    return replace(spec, **changes)


def start(home: Home, *specs: ProcessSpec) -> ProcessTable:
    table = ProcessTable(home)
    for spec in specs:
        table.put(spec)
    ensure_supervisor(home)
    return table


def ready(table: ProcessTable, name: str, other_than: int | None = None) -> ProcessStatus:
    def look() -> ProcessStatus | None:
        status = table.status(name)
        return status if status and status.state == "ready" and status.pid != other_than else None

    return eventually(look)


def state(table: ProcessTable, name: str, wanted: str) -> ProcessStatus:
    def look() -> ProcessStatus | None:
        status = table.status(name)
        return status if status and status.state == wanted else None

    return eventually(look)


def kill_supervisor(home: Home) -> None:
    pid = running_supervisor(home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: running_supervisor(home) is None)


def pid_of(status: ProcessStatus) -> int:
    assert status.pid is not None
    return status.pid


def test_a_killed_process_comes_back_on_the_same_port(home: Home) -> None:
    table = start(home, server("a"))
    before = ready(table, "a")
    os.kill(pid_of(before), signal.SIGKILL)
    after = ready(table, "a", other_than=before.pid)
    assert (after.port, after.restarts, after.last_exit) == (before.port, 1, -signal.SIGKILL)
    assert "next start in 0 s" in home.log("supervisor").read_text()


def test_a_port_taken_in_the_meantime_is_replaced(home: Home) -> None:
    table = start(home, server("a"))
    before = ready(table, "a")
    kill_supervisor(home)
    os.kill(pid_of(before), signal.SIGKILL)
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(lambda: not pids.is_alive(pid_of(before), None))
        intruder.bind(("127.0.0.1", before.port or 0))
        intruder.listen()
        ensure_supervisor(home)
        assert ready(table, "a").port != before.port


def test_a_fixed_port_that_is_taken_is_said_and_waited_for(home: Home) -> None:
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", 0))
        intruder.listen()
        port = intruder.getsockname()[1]
        table = start(home, server("a", needs_port=False, port=port, argv=fixed("a", port)))
        assert str(port) in state(table, "a", "backing_off").message
    assert ready(table, "a").port == port


def fixed(name: str, port: int) -> tuple[str, ...]:
    return (sys.executable, backend.__file__, name, str(port))


def test_a_process_that_keeps_failing_waits_longer_each_time(home: Home) -> None:
    table = start(home, server("a", argv=(sys.executable, "-c", "raise SystemExit(3)")))
    eventually(lambda: (status := table.status("a")) and status.failed_starts >= 3)
    status = table.status("a")
    assert status is not None
    assert (status.last_exit, status.state) == (3, "backing_off")
    said = home.log("supervisor").read_text()
    assert [f"next start in {pause} s" in said for pause in ("0.5", "1", "2")] == [True] * 3


def test_a_program_that_does_not_exist_is_said(home: Home) -> None:
    table = start(home, server("a", argv=("no-such-program",)))
    assert "no-such-program" in state(table, "a", "backing_off").message


def test_a_folder_for_sockets_that_others_may_enter_is_said_and_waited_for(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / ("long" * 20))
    folder = home.run
    folder.chmod(0o755)
    try:
        table = start(home, server("a"))
        said = eventually(lambda: (s := table.status("a")) and s.message and s)
        assert said.state == "backing_off"
        assert "not yours alone" in said.message
        assert str(folder) in said.message
        folder.chmod(0o700)
        eventually(lambda: (s := table.status("a")) and s.state == "ready")
    finally:
        folder.chmod(0o700)
        stop_everything(home)


def test_a_process_that_hangs_is_restarted(home: Home) -> None:
    table = start(home, server("a", liveness=replace(PROBE, timeout_seconds=0.3)))
    before = ready(table, "a")
    os.kill(pid_of(before), signal.SIGSTOP)
    assert ready(table, "a", other_than=before.pid).restarts == 1


def test_a_changed_spec_replaces_the_process_and_an_unchanged_one_does_not(home: Home) -> None:
    table = start(home, server("a"))
    before = ready(table, "a")
    assert not table.put(server("a"))
    assert table.put(server("a", env={"COLOUR": "green"}))
    after = ready(table, "a", other_than=before.pid)
    assert (after.port, after.restarts) == (before.port, 0)
    assert not pids.is_alive(pid_of(before), before.process_started_at)


def test_replicas_of_a_version_are_replaced_one_at_a_time(home: Home) -> None:
    labels = {"endpoint": "fraud", "version": "v1"}
    names = ["fraud.v1.0", "fraud.v1.1", "fraud.v1.2"]
    table = start(home, *(server(name, labels=labels) for name in names))
    old = {name: ready(table, name).pid for name in names}
    for name in names:
        table.put(server(name, labels=labels, env={"COLOUR": "green"}))
    fewest = len(names)
    while any((seen := table.recorded(name)) and seen.pid == old[name] for name in names):
        records = [table.recorded(name) for name in names]
        fewest = min(
            fewest, sum(record is not None and record.state == "ready" for record in records)
        )
        time.sleep(0.02)
    assert fewest == 2


def test_a_removed_process_ends_and_is_forgotten(home: Home) -> None:
    table = start(home, server("a"))
    status = ready(table, "a")
    table.remove("a")
    table.wait_gone("a", 10)
    assert table.names() == ()
    assert not pids.is_alive(pid_of(status), status.process_started_at)


def test_a_process_that_ignores_the_request_to_end_is_killed_after_its_grace(home: Home) -> None:
    argv = (sys.executable, "-c", STUBBORN)
    table = start(home, server("a", argv=argv, readiness=None, needs_port=False, grace_seconds=1))
    status = ready(table, "a")
    eventually(lambda: "SIGTERM" in Path(f"/proc/{status.pid}/cmdline").read_text())
    begun = time.monotonic()
    table.remove("a")
    table.wait_gone("a", 10)
    assert not pids.is_alive(pid_of(status), status.process_started_at)
    assert time.monotonic() - begun < 5


def test_children_of_a_killed_process_end_too(home: Home) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    argv = (sys.executable, "-c", script)
    table = start(home, server("a", argv=argv, readiness=None, needs_port=False))
    status = ready(table, "a")
    child = int(eventually(lambda: home.log("a").read_text().strip()).split()[0])
    os.kill(pid_of(status), signal.SIGKILL)
    eventually(lambda: pids.started_at(child) is None)


def test_children_with_an_environment_of_their_own_end_too(home: Home) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], env={})\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    argv = (sys.executable, "-c", script)
    table = start(home, server("a", argv=argv, readiness=None, needs_port=False))
    ready(table, "a")
    child = int(eventually(lambda: home.log("a").read_text().strip()).split()[0])
    table.remove("a")
    table.wait_gone("a", 10)
    assert pids.started_at(child) is None


def test_processes_that_hang_do_not_keep_the_others_waiting(home: Home) -> None:
    patient = replace(PROBE, timeout_seconds=60)
    hanging = [f"hanging-{number}" for number in range(20)]
    table = start(home, server("a"), *(server(name, readiness=patient) for name in hanging))
    stopped = [pid_of(ready(table, name)) for name in hanging]
    before = ready(table, "a")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1)  # until each is being asked
    os.kill(pid_of(before), signal.SIGKILL)
    try:
        assert ready(table, "a", other_than=before.pid).port == before.port
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


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
