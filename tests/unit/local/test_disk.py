from __future__ import annotations

import resource
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from weir.errors import PermanentError
from weir.local.disk import RESERVE_BYTES, keep_reserve, write_atomically, write_with_reserve

ROOM_BYTES = 1000


def write_too_much(path: Path, reserve: Path | None = None) -> tuple[str, str]:
    """Reason and place of the error in a process whose files have ROOM_BYTES, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, ROOM_BYTES))
    try:
        if reserve is None:
            write_atomically(path, "x" * (ROOM_BYTES + 1))
        else:
            write_with_reserve(reserve, path, "x" * (ROOM_BYTES + 1))
    except PermanentError as error:
        return error.reason, error.where
    return "written", ""


def test_written_files_have_the_mode_asked_for(tmp_path: Path) -> None:
    write_atomically(tmp_path / "keys.json", "{}", 0o600)
    write_atomically(tmp_path / "open.txt", b"bytes", 0o644)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "open.txt").stat().st_mode) == 0o644


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, "old")
    # In a process of its own: the limit would cut this one's output too.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(write_too_much, path).result(60) == ("disk.full", str(path))
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["state.json"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as raised:
        write_atomically(tmp_path / "none" / "state.json", "x")
    assert raised.value.reason == "disk.unwritable"


def test_a_reserve_is_set_aside_while_there_is_room(tmp_path: Path) -> None:
    reserve = tmp_path / "reserve"
    keep_reserve(reserve)
    assert reserve.stat().st_size == RESERVE_BYTES


def test_what_has_room_leaves_the_reserve_alone(tmp_path: Path) -> None:
    reserve = tmp_path / "reserve"
    keep_reserve(reserve)
    write_with_reserve(reserve, tmp_path / "state.json", "new")
    assert (tmp_path / "state.json").read_text() == "new"
    assert reserve.exists()


def test_on_a_full_disk_the_reserve_is_given_up_and_where_that_is_not_enough_it_is_said(
    tmp_path: Path,
) -> None:
    reserve = tmp_path / "reserve"
    keep_reserve(reserve)
    path = tmp_path / "state.json"
    write_atomically(path, "old")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        # Where only a file's own size is limited, giving up the reserve makes no room.
        assert pool.submit(write_too_much, path, reserve).result(60) == ("disk.full", str(path))
    assert not reserve.exists()
    assert path.read_text() == "old"
