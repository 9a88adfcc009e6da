from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.telemetry import Request
from tests.unit.logs.gateway_log import Gateway
from weir.logs.slices import completion, pieces

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def test_a_rotation_between_listing_and_reading_loses_and_doubles_nothing(gateway):
    gateway.log([Request(at(1)), Request(at(2))])
    with pieces(gateway.folder, at(0).timestamp(), at(60).timestamp(), 10_000) as found:
        gateway.rotate(at(3))
        gateway.log([Request(at(200))])
        lines = b"".join(os.pread(p.descriptor, p.stop - p.start, p.start) for p in found)
    assert lines.count(b"\n") == 2


def test_only_the_part_of_the_log_that_the_window_needs_is_read(gateway):
    gateway.log([Request(at(number / 10)) for number in range(10_000)])
    with pieces(gateway.folder, at(500).timestamp(), at(505).timestamp(), 2**20) as found:
        (piece,) = found
        assert piece.stop - piece.start < gateway.live.stat().st_size / 100
        first, *_, last = os.pread(
            piece.descriptor, piece.stop - piece.start, piece.start
        ).splitlines()
    assert completion(first) == pytest.approx(at(499).timestamp(), abs=0.2)
    assert completion(last) == pytest.approx(at(506).timestamp(), abs=0.2)


def test_a_long_window_is_cut_at_line_ends(gateway):
    gateway.log([Request(at(number / 100)) for number in range(1000)])
    with pieces(gateway.folder, at(-1).timestamp(), at(60).timestamp(), 5_000) as found:
        texts = [os.pread(p.descriptor, p.stop - p.start, p.start) for p in found]
    assert len(texts) > 10
    assert all(text.endswith(b"}\n") for text in texts)
    assert b"".join(texts) == gateway.live.read_bytes()
