"""`weir backtest` as people call it."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.unit.cli.command import weir

QUICK = "window_seconds: 60\nguardrails:\n  - {metric: failures, slack: 0.01}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(QUICK)
    line = {
        "id": 1,
        "start": "2026-11-23T10:00:00Z",
        "end": "2026-11-23T10:01:00Z",
        "split": {"v1": 95, "v2": 5},
        "versions": {
            "v1": {"requests": 9500, "failures": 190, "latency_ms": {"counts": {"79": 9500}}},
            "v2": {"requests": 500, "failures": 100, "latency_ms": {"counts": {"90": 500}}},
        },
    }
    (tmp_path / "windows.ndjson").write_text(json.dumps(line))
    (tmp_path / "spotless.ndjson").write_text(json.dumps(line).replace("190", "0"))
    line["versions"] = {}
    (tmp_path / "silent.ndjson").write_text(json.dumps(line))
    return tmp_path


def backtest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return weir(folder, "backtest", *arguments)


def test_two_tables_and_a_picture(folder: Path) -> None:
    done = backtest(folder, "policy.yaml", "--runs", "5", "--plot", "backtest.svg")
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == (
        "6,000 requests/min, 1 % failing, median 50 ms; 5 rollouts of each version, seed 1"
    )
    names = [line.split("  ")[0] for line in lines]
    assert names.count("equal") == names.count("fails 1.25x") == names.count("fails 50x") == 2
    assert ElementTree.parse(folder / "backtest.svg").getroot().tag.endswith("svg")


def test_one_json_object_for_other_programs_at_the_traffic_that_is_given(folder: Path) -> None:
    given = ("--requests-per-minute", "600", "--failure-rate", "2%", "--latency-median", "20")
    done = backtest(folder, "policy.yaml", "--runs", "3", "--json", *given)
    data = json.loads(done.stdout)
    assert (data["requests_per_minute"], data["failure_rate"], data["runs"]) == (600, 0.02, 3)
    assert data["latency_median_ms"] == pytest.approx(20, rel=0.001)
    assert [version["times_worse"] for version in data["versions"]] == [
        *(1, 1.25, 1.5, 2, 3, 5, 10, 50)
    ]
    assert data["versions"][-1]["failure_rate"] == 1
    assert data["versions"][-1]["rolled_back"]["count"] == 3


def test_the_endpoints_own_traffic_from_a_record_and_what_is_given_beside_it(folder: Path) -> None:
    given = ("--windows", "windows.ndjson", "--requests-per-minute", "20000")
    data = json.loads(backtest(folder, "policy.yaml", "--runs", "1", "--json", *given).stdout)
    assert (data["requests_per_minute"], data["failure_rate"]) == (20_000, 0.02)
    assert data["latency_median_ms"] == pytest.approx(31.3, abs=0.1)


MISTAKES = {
    "a policy that does not exist": (("none.yaml",), "none.yaml: does not exist"),
    "a share in percent without its sign": (
        ("policy.yaml", "--failure-rate", "5"),
        "--failure-rate is 5; it has to be a share of at least 0 and less than 1.",
    ),
    "a share that is no number": (("policy.yaml", "--failure-rate", "few"), "1 % is written 0.01"),
    "nothing that ever fails": (
        ("policy.yaml", "--failure-rate", "0"),
        "many times as often as never does not fail either",
    ),
    "a record in which nothing failed": (
        ("policy.yaml", "--windows", "spotless.ndjson"),
        "such as --failure-rate 0.001",
    ),
    "a record without requests": (
        ("policy.yaml", "--windows", "silent.ndjson"),
        "silent.ndjson: its windows have no requests to the control",
    ),
    "no requests": (("policy.yaml", "--requests-per-minute", "0"), "it has to be from 0.001 to"),
    "no number of requests": (("policy.yaml", "--requests-per-minute", "nan"), "is nan; it has"),
    "no rollouts": (("policy.yaml", "--runs", "0"), "--runs is 0; it has to be from 1 to"),
    "a latency that is none": (("policy.yaml", "--latency-median", "-1"), "--latency-median is -1"),
    "a picture that is no SVG": (
        ("policy.yaml", "--plot", "backtest.png"),
        "pictures are drawn as SVG only",
    ),
    "a picture in no folder": (
        ("policy.yaml", "--plot", "none/backtest.svg"),
        "its folder does not exist",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(folder: Path, mistake: str) -> None:
    arguments, sentence = MISTAKES[mistake]
    done = backtest(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
