"""`weir judge` as people call it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.command import weir

POLICY = """
guardrails:
  - {metric: failures, margin: 1.25, promote_margin: 1.5, slack: 0.0}
  - {metric: latency, quantiles: [50, 90, 99], margin: 1.19, promote_margin: 1.41}
"""


def window(number: int, failures: int) -> dict[str, Any]:
    """One line as other tools would write it: OpenTelemetry buckets, metrics that no guardrail of
    the policy asks for."""
    return {
        "id": number,
        "start": f"2026-11-23T10:{number:02d}:00Z",
        "end": f"2026-11-23T10:{number:02d}:10Z",
        "split": {"v1": 95, "v2": 5},
        "versions": {
            "v1": {
                "requests": 950,
                "failures": 9,
                "latency_ms": {"scale": 4, "zero": 0, "counts": {"52": 900, "53": 50}},
                "metrics": {"score": {"n": 950, "sum": 512.2, "sum_sq": 301.8}},
            },
            "v2": {
                "requests": 50,
                "failures": failures,
                "latency_ms": {"scale": 4, "zero": 0, "counts": {"52": 50}},
            },
        },
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    lines = [json.dumps(window(number, failures=4)) for number in range(1, 30)]
    (tmp_path / "bad.ndjson").write_text("\n".join(lines))
    return tmp_path


def judge(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return weir(folder, "judge", *arguments)


def test_a_line_for_each_decision_and_the_verdict_in_words(folder: Path) -> None:
    done = judge(folder, "bad.ndjson", "--policy", "policy.yaml", "--control", "v1")
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, last = done.stdout.splitlines()
    assert first.split()[:3] == ["1", "hold", "v2"]
    assert last.startswith(
        "↩ v2 rolled back at window 2: v2 fails 8.0 % of 100 requests, v1 0.95 %"
    )
    assert "a ratio of at most 1.25 is ruled out at 1 in" in last


def test_json_lines_for_other_programs(folder: Path) -> None:
    done = judge(folder, "bad.ndjson", "--policy", "policy.yaml", "--json")
    *decisions, verdict = [json.loads(line) for line in done.stdout.splitlines()]
    assert verdict == {"verdict": "rolled_back", "at": 2}
    assert [decision["id"] for decision in decisions] == [1, 2]
    assert (decisions[-1]["action"], decisions[-1]["treatment"]) == ("roll_back", "v2")
    assert decisions[-1]["reason"] == "harm"
    assert decisions[-1]["verdicts"]["failures"] == "fail"
    assert decisions[-1]["evidence"]["failures"]["log10_e_harm"] > 1.6


def test_a_release_file_is_a_policy_file_too(folder: Path) -> None:
    indented = POLICY.replace("\n", "\n  ")
    (folder / "release.yaml").write_text(f"endpoint: fraud\nrollout:\n  {indented}")
    done = judge(folder, "bad.ndjson", "--policy", "release.yaml")
    assert "rolled back at window 2" in done.stdout


def test_a_release_file_without_a_policy_of_its_own_has_the_default_one(folder: Path) -> None:
    (folder / "release.yaml").write_text("endpoint: fraud\n")
    done = judge(folder, "bad.ndjson", "--policy", "release.yaml")
    assert "rolled back at window 2" in done.stdout


def test_a_record_cannot_steer_the_terminal(folder: Path) -> None:
    steering = json.dumps(window(1, 4)).replace('"v2"', '"v\\u001b[31m2"')
    (folder / "steering.ndjson").write_text(steering)
    done = judge(folder, "steering.ndjson", "--policy", "policy.yaml")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_records_may_be_numbered_from_nothing_and_hold_any_line_break_in_a_name(
    folder: Path,
) -> None:
    lines = [json.dumps(window(number, failures=4), ensure_ascii=False) for number in range(3)]
    text = "\n".join(lines).replace('"v2"', '"v\u20282"')
    (folder / "zero.ndjson").write_text(text, encoding="utf-8")
    done = judge(folder, "zero.ndjson", "--policy", "policy.yaml", "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {"verdict": "rolled_back", "at": 1}


def test_a_version_that_only_has_requests_under_way_is_no_treatment(folder: Path) -> None:
    lines = [window(number, failures=4) for number in range(1, 4)]
    for line in lines:
        line["versions"]["v0"] = {"requests": 0, "failures": 0, "in_flight": 1}
    (folder / "idle.ndjson").write_text("\n".join(map(json.dumps, lines)))
    done = judge(folder, "idle.ndjson", "--policy", "policy.yaml", "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {"verdict": "rolled_back", "at": 2}


def many(number: int, treatments: int, failures: int = 0) -> dict[str, Any]:
    """A window with so many treatments, alike."""
    line = window(number, failures)
    names = [f"v{place}" for place in range(2, treatments + 2)]
    line["split"] = {"v1": 100 - 5 * treatments, **dict.fromkeys(names, 5)}
    line["versions"] = {
        "v1": line["versions"]["v1"],
        **dict.fromkeys(names, line["versions"]["v2"]),
    }
    return line


def test_up_to_five_treatments_are_judged_and_each_has_its_verdict(folder: Path) -> None:
    lines = [many(number, treatments=5, failures=25) for number in range(1, 9)]
    (folder / "five.ndjson").write_text("\n".join(map(json.dumps, lines)))
    done = judge(folder, "five.ndjson", "--policy", "policy.yaml", "--json")
    verdicts = [json.loads(line) for line in done.stdout.splitlines()[-5:]]
    assert verdicts == [
        {"treatment": f"v{number}", "verdict": "rolled_back", "at": 1} for number in range(2, 7)
    ]


def test_histograms_of_several_scales_are_compared_at_the_coarser(folder: Path) -> None:
    lines = [window(number, failures=4) for number in range(1, 9)]
    for line in lines[1:]:
        line["versions"]["v2"]["latency_ms"] = {"scale": 3, "zero": 0, "counts": {"26": 50}}
    (folder / "scales.ndjson").write_text("\n".join(map(json.dumps, lines)))
    done = judge(folder, "scales.ndjson", "--policy", "policy.yaml", "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {"verdict": "rolled_back", "at": 2}


def test_a_window_that_comes_again_has_a_line_that_says_so(folder: Path) -> None:
    lines = [window(number, failures=1) for number in (3, 4, 4, 1, 5)]
    lines.append({**lines[-1], "id": 6})
    (folder / "again.ndjson").write_text("\n".join(map(json.dumps, lines)))
    done = judge(folder, "again.ndjson", "--policy", "policy.yaml")
    *_, again, earlier, right, overlapping, verdict = done.stdout.splitlines()
    assert again == "     4  hold v2 (repeated): not counted: the id 4 is not greater than 4"
    assert "the id 1 is not greater than 4" in earlier
    assert right.startswith("     5  hold v2 (insufficient)")
    assert overlapping == (
        "     6  hold v2 (repeated): not counted: it starts at 2026-11-23T10:05:00+00:00, before"
        " the end of the window 5"
    )
    assert verdict.startswith("• v2 undecided after window 5: v2 fails 2.0 % of 150 requests")
    done = judge(folder, "again.ndjson", "--policy", "policy.yaml", "--json")
    second, twice = (json.loads(line) for line in done.stdout.splitlines()[1:3])
    assert twice == {**second, "reason": "repeated"}


def test_names_are_printed_as_they_are(folder: Path) -> None:
    lines = [json.dumps(window(1, 4)).replace('"v2"', '"[bold]v2 :cat:"')]
    (folder / "cat.ndjson").write_text("\n".join(lines))
    assert "hold [bold]v2 :cat: (" in judge(folder, "cat.ndjson", "--policy", "policy.yaml").stdout
    done = judge(folder, "cat.ndjson", "--policy", "policy.yaml", "--json")
    assert json.loads(done.stdout.splitlines()[0])["treatment"] == "[bold]v2 :cat:"


def test_a_line_that_holds_says_when_the_next_step_comes(folder: Path) -> None:
    lines = [json.dumps(window(number, failures=0)) for number in range(1, 4)]
    (folder / "good.ndjson").write_text("\n".join(lines))
    held = judge(folder, "good.ndjson", "--policy", "policy.yaml").stdout.splitlines()[2]
    assert re.search(r"; \d+ % at this pace in about [\d.]+ (s|min|h), [\d,]+ requests$", held)


MISTAKES = {
    "a field that does not exist": (
        ("bad.ndjson", "--policy", "typo.yaml"),
        "typo.yaml:1: rollout.guardrail",
    ),
    "a record that does not exist": (
        ("none.ndjson", "--policy", "policy.yaml"),
        "none.ndjson: does not exist; looked for",
    ),
    "a line that is no window": (
        ("torn.ndjson", "--policy", "policy.yaml"),
        "torn.ndjson:2:",
    ),
    "a time without its zone": (
        ("zone.ndjson", "--policy", "policy.yaml"),
        "zone.ndjson:1: end: it has to have a time zone",
    ),
    "a count that is left out": (
        ("typed.ndjson", "--policy", "policy.yaml"),
        "typed.ndjson:1: versions.v2.failures: is missing; give the number",
    ),
    "a key that stands there twice": (
        ("twice.ndjson", "--policy", "policy.yaml"),
        'twice.ndjson:1: the key "id" stands there twice',
    ),
    "six treatments": (
        ("six.ndjson", "--policy", "policy.yaml"),
        "six.ndjson: the record has 6 treatments beside v1; at most 5 can be judged together",
    ),
    "nobody to compare with": (
        ("alone.ndjson", "--policy", "policy.yaml"),
        "alone.ndjson: no version but v1 has traffic, so there is nothing to compare",
    ),
    "pauses that never end": (
        ("eternal.ndjson", "--policy", "policy.yaml"),
        "eternal.ndjson: its pauses lead beyond the calendar",
    ),
    "a control that steers the terminal": (
        ("bad.ndjson", "--policy", "policy.yaml", "--control", "v\x1b[2J\n"),
        "no window has a version v?[2J?; there is v1, v2",
    ),
    "a control that no window has": (
        ("bad.ndjson", "--policy", "policy.yaml", "--control", "v9"),
        "no window has a version v9; there is v1, v2",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_its_place_and_status_2(folder: Path, mistake: str) -> None:
    (folder / "typo.yaml").write_text("guardrail: []\n")
    (folder / "torn.ndjson").write_text(json.dumps(window(1, 0)) + '\n{"id": 2}\n')
    zone, typed, alone, eternal = window(1, 0), window(1, 0), window(1, 0), window(1, 0)
    typed["versions"]["v2"]["failuers"] = typed["versions"]["v2"].pop("failures")
    (folder / "typed.ndjson").write_text(json.dumps(typed))
    zone["end"] = zone["end"].removesuffix("Z")
    (folder / "twice.ndjson").write_text(json.dumps(typed).replace("{", '{"id": 1, ', 1))
    (folder / "six.ndjson").write_text(json.dumps(many(1, 6)))
    alone["split"], alone["versions"] = {"v1": 100}, {"v1": alone["versions"]["v1"]}
    (folder / "alone.ndjson").write_text(json.dumps(alone))
    eternal["happened"] = [
        {"what": what, "at": f"{year}-01-01T00:00:00Z"}
        for what, year in [("looked", "2026"), ("paused", "0001"), ("resumed", "9999")]
    ]
    (folder / "eternal.ndjson").write_text(json.dumps(eternal))
    (folder / "zone.ndjson").write_text(json.dumps(zone))
    arguments, sentence = MISTAKES[mistake]
    done = judge(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
