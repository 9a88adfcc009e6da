from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from weir.errors import PermanentError
from weir.local.windows import KEPT_RECORDS, LocalWindows
from weir.window import Histogram, VersionCounts, Window

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def window(number: int, buckets: int = 1, scale: int = 4) -> Window:
    counts = VersionCounts(
        requests=950 + 11 * buckets,
        failures=9,
        latency_ms=Histogram(scale=scale, counts=dict.fromkeys(range(52, 52 + buckets), 11)),
    )
    return Window(
        id=number,
        start=NOON,
        end=NOON + timedelta(seconds=5),
        split={"v1": 95},
        versions={"v1": counts},
    )


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "endpoints" / "fraud" / "windows-r1.ndjson"


def test_a_line_is_one_json_object_with_everything_the_decision_saw(tmp_path, record):
    LocalWindows(tmp_path).append("fraud", "r1", window(17))
    (line,) = record.read_text().splitlines()
    assert json.loads(line) == {
        "id": 17,
        "start": "2026-11-23T12:00:00Z",
        "end": "2026-11-23T12:00:05Z",
        "split": {"v1": 95},
        "versions": {
            "v1": {
                "requests": 961,
                "failures": 9,
                "failures_by_class": {},
                "latency_ms": {"scale": 4, "zero": 0, "counts": {"52": 11}},
                "metrics": {},
                "labels": {},
                "in_flight": 0,
            }
        },
        "decided_at": None,
        "happened": [],
    }


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_line_that_a_crash_tore_is_written_again(tmp_path, record, kept):
    windows = LocalWindows(tmp_path)
    windows.append("fraud", "r1", window(1))
    whole = record.read_bytes()
    record.write_bytes(whole + whole.replace(b'"id":1', b'"id":2')[:kept])
    assert [one.id for one in windows.read("fraud", "r1")] == [1]
    windows.append("fraud", "r1", window(2))
    assert windows.read("fraud", "r1") == (window(1), window(2))


def test_lines_longer_than_a_block_are_found_from_the_end(tmp_path):
    windows = LocalWindows(tmp_path)
    for number in (1, 2, 2, 3):
        windows.append("fraud", "r1", window(number, buckets=20_000, scale=16))
    assert [one.id for one in windows.read("fraud", "r1")] == [1, 2, 3]


def test_a_corrupt_line_in_the_middle_names_its_file_and_number(tmp_path, record):
    windows = LocalWindows(tmp_path)
    windows.append("fraud", "r1", window(1))
    record.write_bytes(b"{}\n" + record.read_bytes())
    with pytest.raises(PermanentError) as caught:
        windows.read("fraud", "r1")
    assert (caught.value.reason, caught.value.where) == ("windows.corrupt", str(record))
    assert "line 1" in caught.value.message


@pytest.mark.parametrize("release_id", ["", "../r1", "a/b", "a.b"])
def test_a_release_id_cannot_lead_out_of_the_folder(tmp_path, release_id):
    with pytest.raises(ValueError, match="no id of a release"):
        LocalWindows(tmp_path).append("fraud", release_id, window(1))


def test_an_endpoint_keeps_its_newest_records(tmp_path, record):
    windows = LocalWindows(tmp_path)
    for number in range(KEPT_RECORDS):
        windows.append("fraud", f"old{number}", window(1))
        path = record.with_name(f"windows-old{number}.ndjson")
        os.utime(path, (number + 1, number + 1))
    windows.append("fraud", "r1", window(1))
    windows.append("fraud", "r1", window(2))
    kept = {path.name for path in record.parent.glob("windows-*.ndjson")}
    assert len(kept) == KEPT_RECORDS
    assert record.name in kept
    assert "windows-old0.ndjson" not in kept
