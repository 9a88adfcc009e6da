"""A pydantic error in the words of the release file."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from weir.spec.fields import (
    metrics_of,
    number_in_words,
    part_at,
    parts_of,
    pattern_in_words,
    places_of,
)
from weir.spec.migration import moved
from weir.spec.problems import Problem
from weir.spec.rollout import RolloutPolicy
from weir.spec.source import Path, Source, as_written

LONGEST_VALUE = 60


def explain(error: ValidationError, source: Source) -> list[Problem]:
    """Each error of ``error`` as a Problem with its line, field and what is allowed."""
    details = error.errors(include_url=False)
    return [_problem(detail, source) for detail in details if not _is_echo(detail)]


def shown(value: Any) -> str:
    """A value as it may stand in a message: quoted if text, cut if long."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a typing mistake most likely meant."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|-", "_", name).lower()
    found = difflib.get_close_matches(snake, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _is_echo(detail: ErrorDetails) -> bool:
    """A list whose items are all wrong is also called too short, which is not the mistake."""
    items = detail["input"]
    return detail["type"] == "too_short" and isinstance(items, list) and len(items) > 0


def _problem(detail: ErrorDetails, source: Source) -> Problem:
    path = _path_in_file(detail, source.data)
    kind = detail["type"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, "metric")
    message = _message(detail, path, source)
    return Problem(source.file, message, as_written(path), source.line(path))


def _path_in_file(detail: ErrorDetails, data: Any) -> Path:
    """The error's place without the tags that pydantic adds for unions."""
    path: list[str | int] = []
    steps = detail["loc"]
    for position, step in enumerate(steps):
        is_last = position == len(steps) - 1
        inside = (isinstance(data, dict) and step in data) or (
            isinstance(data, list) and isinstance(step, int)
        )
        if inside:
            path.append(step)
            data = data[step]
        elif is_last and detail["type"] == "missing" and isinstance(data, dict):
            path.append(step)
    return tuple(path)


def _message(detail: ErrorDetails, path: Path, source: Source) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    value = detail["input"]
    if kind == "missing":
        return f"is missing; it has to be given{_meaning(source.data, path)}"
    if kind == "extra_forbidden":
        return _unknown_field(path, source.data)
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_metric(kind, context)
    if value is None and kind.endswith("_type"):
        return f"is empty; give {_wanted(kind)}, or leave the line out"
    if kind == "string_type":
        written = source.texts.get(path, str(value))
        if isinstance(value, dict | list):
            return f"{shown(value)} is not allowed; it has to be text"
        return f'{written} is not text; put it in quotes: "{written}"'
    rule = _RULES.get(kind)
    allowed = rule(context) if rule else detail["msg"][:1].lower() + detail["msg"][1:]
    hint = ""
    if kind in ("literal_error", "enum") and isinstance(value, str):
        meant = nearest(value, _choices(context))
        hint = f"; did you mean {meant}?" if meant else ""
    return f"{shown(value)} is not allowed; it has to be {allowed}{hint}"


def _wanted(kind: str) -> str:
    rule = _RULES.get(kind)
    return rule({}) if rule else "a value"


def _meaning(data: Any, path: Path) -> str:
    part = part_at(data, path[:-1])
    field = part.model_fields.get(str(path[-1])) if part else None
    description = (field.description or "") if field else ""
    return f" ({description.rstrip('.')})" if description else ""


def _unknown_field(path: Path, data: Any) -> str:
    name = str(path[-1])
    part = part_at(data, path[:-1])
    known = list(part.model_fields) if part else []
    places = places_of(name)
    if places:
        return f"is not a field here; did you mean {places[0]}?"
    there = moved(name)
    if there is not None and there.field:
        return f"is Azure ML's name; here it is {there.field}"
    if there is not None:
        return f"is Azure ML's and has no field here: {there.note}"
    meant = nearest(name, known)
    if meant:
        return f"is not a field; did you mean {meant}?"
    return f"is not a field; allowed are {', '.join(known)}"


def _unknown_metric(kind: str, context: Mapping[str, Any]) -> str:
    guardrails = parts_of(RolloutPolicy.model_fields["guardrails"].annotation)
    known = [metric for part in guardrails for metric in metrics_of(part)]
    allowed = " or ".join(known)
    if kind == "union_tag_not_found":
        return f"is missing; it has to be {allowed}"
    tag = str(context.get("tag", ""))
    meant = nearest(tag, known)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{shown(tag)} is not allowed; it has to be {allowed}{hint}"


def _choices(context: Mapping[str, Any]) -> list[str]:
    words = str(context.get("expected", "")).replace(" or ", ", ").split(", ")
    return [word.strip("'") for word in words]


def _count(context: Mapping[str, Any], key: str, noun: str) -> str:
    number = context.get(key)
    return f"{number} {noun}" + ("" if number == 1 else "s")


_RULES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda c: f"greater than {number_in_words(c['gt'])}",
    "greater_than_equal": lambda c: f"at least {number_in_words(c['ge'])}",
    "less_than": lambda c: f"less than {number_in_words(c['lt'])}",
    "less_than_equal": lambda c: f"at most {number_in_words(c['le'])}",
    "string_pattern_mismatch": lambda c: pattern_in_words(str(c["pattern"])),
    "string_too_short": lambda c: f"at least {_count(c, 'min_length', 'character')} long",
    "string_too_long": lambda c: f"at most {_count(c, 'max_length', 'character')} long",
    "too_short": lambda c: f"a list of at least {_count(c, 'min_length', 'item')}",
    "string_type": lambda _: "text",
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "bool_type": lambda _: "true or false",
    "tuple_type": lambda _: "a list, for example [a, b]",
    "list_type": lambda _: "a list, for example [a, b]",
    "dict_type": lambda _: "a mapping, lines like name: value",
    "model_type": lambda _: "a mapping, lines like name: value",
    "model_attributes_type": lambda _: "a mapping, lines like name: value",
    "enum": lambda c: f"one of {', '.join(_choices(c))}",
    "literal_error": lambda c: f"one of {', '.join(_choices(c))}",
}
