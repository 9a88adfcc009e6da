from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.telemetry import Request
from weir.logs.scratch import Scratch
from weir.logs.slices import Piece

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BLOCK_BYTES = 2**20


def filled(folder: Path, content: bytes) -> tuple[bool, bytes]:
    log = folder / "access.log"
    log.write_bytes(content)
    scratch = Scratch()
    with log.open("rb") as stream:
        found = scratch.fill(Piece(stream.fileno(), 0, len(content)))
    return found, Path(scratch.path).read_bytes()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(NOON), False),
        (Request(NOON, metrics="a=1"), True),
        (Request(NOON, labels="a=x"), True),
        (Request(NOON, forced='"metrics":"a=1"'), False),
    ],
)
def test_a_piece_is_searched_for_reports(tmp_path: Path, request_: Request, expected: bool):
    content = request_.line().encode()
    assert filled(tmp_path, content) == (expected, content)


@pytest.mark.parametrize("before", range(BLOCK_BYTES - 14, BLOCK_BYTES + 2))
def test_a_report_between_two_blocks_is_found(tmp_path: Path, before: int):
    content = b" " * before + b'"labels":"a=x"' + b" " * 100
    assert filled(tmp_path, content) == (True, content)


def test_a_shorter_piece_leaves_nothing_of_the_one_before(tmp_path: Path):
    log = tmp_path / "access.log"
    log.write_bytes(b"first\nsecond\n")
    descriptor = os.open(log, os.O_RDONLY)
    scratch = Scratch()
    scratch.fill(Piece(descriptor, 0, 13))
    scratch.fill(Piece(descriptor, 0, 6))
    os.close(descriptor)
    assert Path(scratch.path).read_bytes() == b"first\n"
