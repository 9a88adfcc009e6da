from __future__ import annotations

import os
from pathlib import Path

from weir.local.process_logs import last_lines, older, redact, remove_old, rotate


def test_a_small_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    assert not rotate(log, maximum_bytes=10)
    assert log.read_text() == "one\n"


def test_a_large_log_is_set_aside_while_the_process_keeps_writing(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("a") as writer:
        writer.write("one\ntwo\nthree\n")
        writer.flush()
        assert rotate(log, maximum_bytes=10)
        writer.write("four\n")
    assert log.read_text() == "four\n"


def test_of_a_huge_log_only_the_end_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\nthree\n")
    assert rotate(log, maximum_bytes=10)
    assert older(log).read_text() == "two\nthree\n"


def test_secrets_in_a_log_are_written_over_while_the_process_keeps_writing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "a.log"
    with log.open("a") as writer:
        writer.write("key: hush, again hush\n")
        writer.flush()
        redact(log, ("hush", "other"))
        writer.write("next\n")
    assert log.read_text() == "key: ****, again ****\nnext\n"


def test_last_lines_reach_back_into_what_was_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    older(log).write_text("one\ntwo\n")
    log.write_text("three\n")
    assert last_lines(log, 2) == ("two", "three")


def test_last_lines_of_a_large_log_are_found_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {number} {'x' * 90}\n" for number in range(5000)))
    lines = last_lines(log, 1500)
    assert len(lines) == 1500
    assert (lines[0].split()[1], lines[-1].split()[1]) == ("3500", "4999")


def test_a_log_that_does_not_exist_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none.log", 5) == ()


def test_logs_of_processes_that_are_long_gone_go(tmp_path: Path) -> None:
    for name in ("kept.v1.0", "gone.v1.0", "young.v1.0"):
        log = tmp_path / f"{name}.log"
        for path, written_at in ((older(log), 50), (log, 300 if name == "young.v1.0" else 100)):
            path.write_text("x")
            os.utime(path, (written_at, written_at))
    remove_old(tmp_path, {"kept.v1.0"}, before=200)
    assert {path.name for path in tmp_path.iterdir()} == {
        "kept.v1.0.log",
        "kept.v1.0.log.1",
        "young.v1.0.log",
    }
