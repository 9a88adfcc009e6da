"""The supervisor with real processes: started, watched, restarted, replaced, ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.eventually import eventually
from tests.fakes import backend
from tests.supervised import PROBE, STUBBORN, kill_supervisor, pid_of, ready, server, start, state
from weir.local import pids
from weir.local.home import Home
from weir.local.supervisor import ensure_supervisor, stop_everything


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
