"""Rotation of access logs, without a running gateway."""

from __future__ import annotations

from pathlib import Path

from weir.local.access_log import rotate_access_log


def folder(home: Path, *rotated: str, size: int = 10) -> Path:
    place = home / "endpoints" / "fraud" / "gateway"
    place.mkdir(parents=True)
    (place / "access.log").write_text("x" * size)
    for stamp in rotated:
        (place / f"access-{stamp}.log").write_text(stamp)
    return place


def test_a_small_log_stays(tmp_path: Path) -> None:
    place = folder(tmp_path, size=10)
    assert not rotate_access_log(tmp_path, "fraud", max_bytes=10, keep=1)
    assert [path.name for path in place.iterdir()] == ["access.log"]


def test_a_large_log_is_moved_aside_whole(tmp_path: Path) -> None:
    place = folder(tmp_path, size=11)
    assert rotate_access_log(tmp_path, "fraud", max_bytes=10, keep=1)
    (moved,) = place.iterdir()
    assert moved.name.startswith("access-20")
    assert moved.read_text() == "x" * 11


def test_the_oldest_files_go(tmp_path: Path) -> None:
    place = folder(tmp_path, "20200101T000000000000", "20210101T000000000000")
    assert rotate_access_log(tmp_path, "fraud", max_bytes=1, keep=2)
    left = sorted(path.name for path in place.iterdir())
    assert len(left) == 2
    assert left[0] == "access-20210101T000000000000.log"


def test_an_endpoint_without_a_log_is_left_alone(tmp_path: Path) -> None:
    assert not rotate_access_log(tmp_path, "nowhere", max_bytes=0, keep=1)
    assert list(tmp_path.iterdir()) == []
