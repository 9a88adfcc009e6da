"""The parts and fields of a release file, read from the models that define them."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from weir.spec.guardrails import NAME, REPORTED
from weir.spec.inference import IMAGE_PATTERN
from weir.spec.release import ReleaseSpec

UNITS = {
    "_seconds": "seconds",
    "_ms": "milliseconds",
    "_gb": "GB",
    "_cores": "cores",
    "_cores_limit": "cores",
    "_gb_limit": "GB",
}
UNITS_BY_NAME = {
    "max_request_wait_time": "milliseconds",
    "autoscale_target_utilization": "percent",
    "steps": "percent",
    "quantiles": "percent",
    "slack": "share (0.01 is 1 %)",
    "promote_slack": "share (0.01 is 1 %)",
    "at_most": "share (0.01 is 1 %)",
    "promote_at_most": "share (0.01 is 1 %)",
    "tolerance": "share (0.01 is 1 %)",
    "promote_tolerance": "share (0.01 is 1 %)",
    "margin": "ratio",
    "promote_margin": "ratio",
}
PATTERNS = {
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": "1 to 63 of a-z, 0-9 and hyphens,"
    " with no hyphen at either end",
    r"^/": "a path that begins with /",
    IMAGE_PATTERN: "a container image: registry/name:tag or registry/name@sha256:…, its name in"
    " lower case",
    NAME: "1 to 63 of a-z, 0-9 and _ . : -, with a letter or digit at either end",
    REPORTED: "1 to 40 of a-z, 0-9 and _, with a letter first",
}


def parts_of(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The parts that a value of this type may consist of; empty for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, list):
        return tuple(part for inner in get_args(annotation) for part in parts_of(inner))
    return ()


def part_at(data: Any, path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The part whose fields stand at ``path``; None for plain values and unknown places."""
    candidates: tuple[type[BaseModel], ...] = (ReleaseSpec,)
    for step in path:
        data = _child(data, step)
        if isinstance(step, int):
            continue
        candidates = tuple(
            inner
            for part in candidates
            if step in part.model_fields
            for inner in parts_of(part.model_fields[step].annotation)
        )
    if len(candidates) > 1:
        metric = data.get("metric") if isinstance(data, Mapping) else None
        candidates = tuple(part for part in candidates if metric in metrics_of(part))
    return candidates[0] if candidates else None


def _child(data: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return data[step] if isinstance(data, list) and step < len(data) else None
    return data.get(step) if isinstance(data, Mapping) else None


def metrics_of(part: type[BaseModel]) -> tuple[str, ...]:
    """The values of ``metric`` that choose this kind of guardrail."""
    field = part.model_fields.get("metric")
    return get_args(field.annotation) if field else ()


def places_of(name: str) -> tuple[str, ...]:
    """Where in a release file a field of this name exists, as a user writes it."""
    parts = (part.split(":")[0] for part, field, _ in every_field() if field == name)
    return tuple(f"{part}.{name}" if part else name for part in parts)


def every_field() -> Iterator[tuple[str, str, FieldInfo]]:
    """(part, field name, field) in the order of the file.

    A part is written as a user would, ``deployment.liveness``, empty for the top level; the kinds
    of guardrail as ``rollout.guardrails[]:failures``.
    """
    for where, part in every_part():
        for name, field in part.model_fields.items():
            yield where, name, field


def every_part() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each part with its place, as in ``every_field``; the whole file first."""
    yield from _parts_below(ReleaseSpec, "")


def _parts_below(part: type[BaseModel], where: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield where, part
    for name, field in part.model_fields.items():
        below = parts_of(field.annotation)
        place = f"{where}.{name}" if where else name
        for each in below:
            kind = f"[]:{metrics_of(each)[0]}" if len(below) > 1 else ""
            yield from _parts_below(each, place + kind)


def unit_of(name: str) -> str:
    """The unit of a field, from its name; empty when it has none."""
    if name in UNITS_BY_NAME:
        return UNITS_BY_NAME[name]
    ending = next((end for end in sorted(UNITS, key=len, reverse=True) if name.endswith(end)), "")
    return UNITS.get(ending, "")


def number_in_words(value: float) -> str:
    """Digits in groups where it is whole: 86,400."""
    is_whole = float(value).is_integer() and abs(value) < 10**15
    return f"{int(value):,}" if is_whole else f"{value:g}"


def pattern_in_words(pattern: str) -> str:
    return PATTERNS.get(pattern, f"text that matches {pattern}")
