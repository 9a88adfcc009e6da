from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from weir import process_identity
from weir.process_identity import is_alive, started_at

UPTIME = Path("/proc/uptime")


@pytest.mark.skipif(not UPTIME.exists(), reason="this system counts from the epoch")
def test_a_start_is_counted_from_boot_so_that_no_step_of_the_clock_moves_it() -> None:
    started = started_at(os.getpid())
    assert started is not None
    assert 0 < started <= float(UPTIME.read_text().split()[0])


def test_a_process_is_alive_from_its_start_to_its_end() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = started_at(process.pid)
        assert started is not None
        assert is_alive(process.pid, started, process_identity.boot())
        assert is_alive(process.pid, started)
        assert not is_alive(process.pid, started - 60)
        assert not is_alive(process.pid, started, "another boot")
        process.communicate(b"\n")
    assert started_at(process.pid) is None
    assert not is_alive(process.pid, None)


def test_a_process_that_nobody_has_waited_for_yet_does_not_run() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert started_at(process.pid) is None


def test_a_name_with_parentheses_and_spaces_hides_no_field(tmp_path: Path) -> None:
    program = tmp_path / "a ) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as process:
        started = started_at(process.pid)
        process.kill()
    own = started_at(os.getpid())
    assert own is not None
    assert started is not None
    assert started > own


@pytest.fixture
def _asked_anew() -> Iterator[None]:
    process_identity.machine.cache_clear()
    yield
    process_identity.machine.cache_clear()


@pytest.mark.usefixtures("_asked_anew")
@pytest.mark.parametrize(("namespace", "name"), [("4026531836", "abc"), ("4026532000", "")])
def test_a_container_does_not_know_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str, name: str
) -> None:
    (tmp_path / "machine-id").write_text("abc\n")
    monkeypatch.setattr(process_identity, "_MACHINE", tmp_path / "machine-id")
    monkeypatch.setattr(process_identity, "pid_namespace", lambda: namespace)
    assert process_identity.machine() == name
