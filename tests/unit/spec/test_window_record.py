"""Records that are no records: the first mistake, on one line, with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weir.spec.problems import SpecError
from weir.spec.window_record import read_windows


def window(number: int = 1) -> dict[str, Any]:
    """One line as other tools would write it."""
    return {
        "id": number,
        "start": f"2026-11-23T10:{number:02d}:00Z",
        "end": f"2026-11-23T10:{number:02d}:10+00:00",
        "split": {"v1": 95, "v2": 5},
        "versions": {
            "v1": {
                "requests": 950,
                "failures": 9,
                "latency_ms": {"scale": 4, "zero": 0, "counts": {"52": 11, "53": 40}},
                "metrics": {"score": {"n": 950, "sum": 512.2, "sum_sq": 301.8}},
            },
            "v2": {"requests": 50, "failures": 1},
        },
    }


def put(*place: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(line: dict[str, Any]) -> None:
        for name in place[:-1]:
            line = line[name]
        line[place[-1]] = value

    return change


def left_out(*place: str) -> Callable[[dict[str, Any]], None]:
    def change(line: dict[str, Any]) -> None:
        for name in place[:-1]:
            line = line[name]
        del line[place[-1]]

    return change


V2 = ("versions", "v2")
COUNTS = ("versions", "v1", "latency_ms", "counts")

FIELDS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no id": (left_out("id"), "id: field required"),
    "an id in quotes": (put("id", value="2"), "id: it has to be a whole number"),
    "half an id": (put("id", value=2.5), "id: it has to be a whole number"),
    "an id that is true": (put("id", value=True), "id: it has to be a whole number"),
    "an endless id": (put("id", value=10**30), "id: it has to be less than or equal to"),
    "no zone": (put("end", value="2026-11-23T10:02:10"), "end: it has to have a time zone"),
    "no time": (put("end", value="soon"), "end: it has to be a time such as"),
    "a time that is a number": (put("end", value=1.5e9), "end: it has to be a time such as"),
    "an end before its start": (
        put("end", value="2026-11-23T10:01:10Z"),
        "the window ends at 2026-11-23 10:01:10+00:00, not after its start",
    ),
    "an end at its start": (put("end", value="2026-11-23T10:02:00Z"), "not after its start"),
    "no split": (left_out("split"), "split: field required"),
    "a share above 100": (put("split", "v2", value=105), "split.v2: it has to be less than"),
    "no versions": (left_out("versions"), "versions: field required"),
    "a version that is nothing": (put(*V2, value=None), "versions.v2: it has to be an object"),
    "no requests": (left_out(*V2, "requests"), "versions.v2.requests: is missing; give the number"),
    "no failures": (left_out(*V2, "failures"), "versions.v2.failures: is missing; give the number"),
    "negative requests": (put(*V2, "requests", value=-1), "versions.v2.requests: it has to be"),
    "negative failures": (put(*V2, "failures", value=-1), "versions.v2.failures: it has to be"),
    "half a request": (put(*V2, "requests", value=5.5), "versions.v2.requests: it has to be"),
    "a request that is true": (put(*V2, "requests", value=True), "versions.v2.requests: it has"),
    "more failures than requests": (
        put(*V2, "failures", value=51),
        "versions.v2: 51 failures of 50 requests",
    ),
    "more requests than there can be": (
        put(*V2, "requests", value=10**30),
        "w.ndjson:2: 1000000000000000000000000000000 requests of v2 are more than",
    ),
    "a negative bucket": (put(*COUNTS, "52", value=-1), "latency_ms.counts.52: it has to be"),
    "a bucket that is no number": (put(*COUNTS, "x", value=1), "counts.x: it has to be"),
    "a bucket beyond all latencies": (put(*COUNTS, "99999", value=1), "99999 of scale 4 is no"),
    "one bucket under two names": (put(*COUNTS, "052", value=1), "counts: has a bucket twice"),
    "a scale that does not exist": (
        put("versions", "v1", "latency_ms", "scale", value=21),
        "latency_ms.scale: it has to be less than or equal to 20",
    ),
    "squares that no numbers have": (
        put("versions", "v1", "metrics", "score", "sum_sq", value=1.0),
        "metrics.score: no 950 numbers have the sum 512.2 and squares 1.0",
    ),
    "a happening that nobody knows": (
        put("happened", value=[{"what": "rained", "at": "2026-11-23T10:00:00Z"}]),
        "happened.0.what: it has to be 'begun', 'looked'",
    ),
}


def complaint(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read_windows(path)
    (line,) = str(caught.value).splitlines()
    assert caught.value.exit_status == 2
    assert line.isprintable()
    return line.replace(str(path), "w.ndjson")


@pytest.mark.parametrize("mistake", FIELDS)
def test_a_wrong_field_is_named_with_its_line(tmp_path: Path, mistake: str) -> None:
    change, sentence = FIELDS[mistake]
    line = window(2)
    change(line)
    content = json.dumps(window(1)) + "\n" + json.dumps(line) + "\n" + json.dumps(window(3))
    found = complaint(tmp_path / "w.ndjson", content.encode())
    assert found.startswith("w.ndjson:2: ")
    assert sentence in found


GOOD = json.dumps(window()).encode()

TEXTS = {
    "nothing": (b"", "w.ndjson: has no windows; each line has to be one"),
    "blank lines": (b"\n \r\n\t\n", "w.ndjson: has no windows; each line has to be one"),
    "bytes": (GOOD + b"\n\x80\xfe\x00", "w.ndjson:2: is not UTF-8 text; save it as UTF-8"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "w.ndjson:1: is not UTF-8 text; save it as UTF-8"),
    "zeros": (GOOD + b"\n\0\0\0\n", "w.ndjson:2:1: Invalid JSON: expected value"),
    "words": (b"hello\n", "w.ndjson:1:1: Invalid JSON: expected value; the line is no window"),
    "a number": (b"17\n", "w.ndjson:1: it has to be an object, not 17; the line is no window"),
    "a list": (b"[" + GOOD + b"]\n", "w.ndjson:1: it has to be an object"),
    "a line that a crash tore": (GOOD + b"\n" + GOOD[:99], "w.ndjson:2:99: Invalid JSON: EOF"),
    "two windows on a line": (GOOD + GOOD, "Invalid JSON: trailing characters"),
    "NaN": (GOOD.replace(b"512.2", b"NaN"), "metrics.score.sum: it has to be a finite number"),
    "a count that is NaN": (GOOD.replace(b"950", b"NaN", 1), "v1.requests: it has to be"),
    "an infinite share": (GOOD.replace(b"95,", b"Infinity,"), "split.v1: it has to be a finite"),
    "NaN where nobody reads": (b'{"x": NaN, ' + GOOD[1:], "w.ndjson:1: NaN is no number of JSON"),
    "1e999 requests": (GOOD.replace(b"950", b"1e999", 1), "requests: it has to be a"),
    "too many digits": (GOOD.replace(b"950", b"9" * 5000, 1), "Invalid JSON: number out of range"),
    "a key twice": (
        GOOD.replace(b'"failures": 1', b'"failures": 1, "failures": 0'),
        'w.ndjson:1: the key "failures" stands there twice; the line is no window',
    ),
    "a version twice": (
        GOOD.replace(b'"v2": {', b'"v1": {"requests": 1, "failures": 0}, "v2": {'),
        'the key "v1" stands there twice',
    ),
    "too deep": (b"[" * 100_000, "w.ndjson:1:202: Invalid JSON: recursion limit exceeded"),
    "half a surrogate": (GOOD.replace(b"v2", b"\\ud800"), "Invalid JSON: "),
    "a name that steers": (
        GOOD.replace(b"v2", b"\\u001b[2J\\u2028\\n").replace(b": 50,", b": -1,"),
        "versions.?[2J??.requests: it has to be greater than or equal to 0",
    ),
}


@pytest.mark.parametrize("mistake", TEXTS)
def test_a_text_that_is_no_record_is_told_in_one_line(tmp_path: Path, mistake: str) -> None:
    content, sentence = TEXTS[mistake]
    assert sentence in complaint(tmp_path / "w.ndjson", content)


def test_byte_order_marks_line_ends_and_blank_lines_are_no_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "w.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\r\n\r\n" + json.dumps(window(2)).encode())
    assert [one.id for one in read_windows(path)] == [1, 2]


def test_fields_that_windows_do_not_have_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "w.ndjson"
    path.write_bytes(b'{"host": {"name": "a"}, ' + GOOD[1:])
    (plain,) = read_windows(path)
    path.write_bytes(GOOD)
    assert read_windows(path) == (plain,)
