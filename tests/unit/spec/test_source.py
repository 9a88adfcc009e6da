from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.spec.source import as_written, read_source


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read_source(text, "r.yaml").problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "r.yaml: is empty"),
        ("# only a comment\n", "r.yaml: is empty"),
        ("- a\n", "r.yaml:1: is not a mapping"),
        ("just text", "r.yaml:1: is not a mapping"),
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3: a: is given twice; the first is in line 1"),
        ("a:\n  b: 1\n  b: 2\n", "r.yaml:3: a.b: is given twice; the first is in line 2"),
        ("a:\n\tb: 1\n", "r.yaml:2:1: not valid YAML: a tab cannot indent YAML"),
        ("a: b: c\n", "r.yaml:1:5: not valid YAML: a colon is not expected here"),
        ("a: [1, 2\n", "r.yaml:2:1: not valid YAML: a bracket or brace is not closed"),
        ("a: 'x\n", "r.yaml:1:4: not valid YAML: a quote is not closed"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1: not valid YAML: holds a second document"),
        ("a: \x00\n", "r.yaml:1:4: the character U+0000 is not allowed"),
        ("a: &x [1]\nb: *x\n", "r.yaml:1: b: refers to another value by *"),
        ("a: &x [*x]\n", "r.yaml:1: a[0]: refers to another value by *"),
        ("a: !!python/object:os.system {}\n", "r.yaml:1: a: has the tag"),
        ("a: !!int two\n", "r.yaml:1: a: is not of the kind that its tag int says"),
        ("b: 1\n<<: {c: 1}\n", "r.yaml:2: merges another mapping by <<"),
        ("[" * 5000, "r.yaml: is nested too deeply"),
        ("a: " + "9" * 5000, "r.yaml:1: a: is not of the kind"),
        ("a: 1\n" * 300_000, "r.yaml: has more than 1,000,000 characters"),
    ],
)
def test_what_cannot_be_read_is_one_problem_with_its_place(text: str, problem: str) -> None:
    (only,) = problems(text)
    assert only.startswith(problem)


def test_only_decimal_numerals_and_true_and_false_are_more_than_text() -> None:
    text = "a: 1\nb: -2.50\nc: 1e3\nd: true\ne: ~\nf: on\ng: 12:30\nh: 0x1F\ni: 1_000\non: 08\n"
    assert read_source(text, "r.yaml").data == {
        **{"a": 1, "b": -2.5, "c": 1000.0, "d": True, "e": None},
        **{"f": "on", "g": "12:30", "h": "0x1F", "i": "1_000", "on": "08"},
    }


def test_a_line_is_known_for_every_value_and_for_what_is_missing() -> None:
    source = read_source("a:\n  - b: 1\n  - b: 2\n", "r.yaml")
    assert source.line(("a", 1, "b")) == 3
    assert source.line(("a", 1, "missing")) == 3


def test_a_path_is_written_as_a_user_would() -> None:
    assert as_written(("rollout", "guardrails", 1, "margin")) == "rollout.guardrails[1].margin"


@given(st.text())
def test_no_text_makes_reading_raise(text: str) -> None:
    source = read_source(text, "r.yaml")
    assert source.data is not None or source.problems


def test_a_character_in_two_escapes_is_put_together() -> None:
    source = read_source('{"a": "ship it \\ud83d\\ude80", "\\ud83d\\ude80": 1}', "r.yaml")
    assert source.problems == []
    assert source.data == {"a": "ship it \U0001f680", "\U0001f680": 1}


@pytest.mark.parametrize("text", ['a: "\\ud800"', '"\\udfff": 1', 'a: ["x\\ude80\\ud83d"]'])
def test_half_a_character_is_refused(text: str) -> None:
    (problem,) = read_source(text, "r.yaml").problems
    assert "half a character" in str(problem)
    assert problem.line == 1
