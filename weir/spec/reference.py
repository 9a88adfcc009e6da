"""The page docs/release-file.md: ``python -m weir.spec.reference > docs/release-file.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from weir.spec.fields import every_part, number_in_words, pattern_in_words, unit_of
from weir.spec.migration import DEPLOYMENT_CONFIG, INFERENCE_CONFIG, SDK, Moved

_INTRODUCTION = """\
# The release file

One YAML file says what is released, to which endpoint, how it runs and what evidence has to
show. Paths in it start from the folder that the file is in. `weir plan FILE` checks it without
touching anything; a mistake gets one line with file, line, field and what is allowed, all
mistakes at once, and exit status 2.

    release.yaml:14: deployment.num_replicas: -1 is not allowed; it has to be greater than 0

The smallest one:

```yaml
endpoint: fraud
version_name: v1
model:
  name: fraud
  version: 1
  path: model
inference:
  entry_script: score.py
  source_directory: src
  requirements: requirements.txt
```

Three things differ from YAML as other tools read it. Only `true` and `false` are booleans:
`on`, `yes` and `no` are text. Only decimal numerals are numbers, and text is never taken for a
number nor a number for text, so that version 1.10 has to be written `"1.10"`; a whole number
alone may stand as `model.version`. Anchors, tags and merge keys are refused, as is a field
given twice.

For completion in an editor: `# yaml-language-server: $schema=docs/release.schema.json` as the
first line.

## Fields
"""

_MIGRATION = """\
## Coming from Azure ML

Names and defaults of the deployment are those of the SDK v1 (`AksWebservice`, `AksEndpoint`),
in snake_case. An Azure ML name in a release file is recognised, and the message says what it is
called here. What differs:

- `num_replicas` and the autoscaler exclude each other, as before; with neither, the autoscaler
  is on.
- Authentication belongs to the endpoint, not to a version, and is by key; on a cluster the platform
  block may ask for tokens instead.
- There is no `traffic_percentile` to set: a rollout moves the percentiles, and evidence decides
  how far.
- An unknown field is an error, never ignored.
- On the local platform the autoscaler does not scale (it runs `autoscale_min_replicas`), and cores
  and memory are not enforced.
- On a cluster the autoscaler aims at `autoscale_target_utilization` of `cpu_cores`, and looks as
  often as the cluster does: `autoscale_refresh_seconds` has no effect there, nor has
  `endpoint.port`. Cores are rounded up to a thousandth and memory to a megabyte (10^6 bytes).
"""


def page() -> str:
    """The whole page, from the models that check a release file."""
    lines = [_INTRODUCTION]
    for where, part in every_part():
        properties = _properties(part)
        rows = [_row(name, part.model_fields[name], properties[name]) for name in properties]
        lines += [f"### {_heading(where)}", "", _about(part), "", *_table(_COLUMNS, rows), ""]
    lines += [_MIGRATION]
    for title, settings in (
        ("inferenceconfig.json", INFERENCE_CONFIG),
        ("deploymentconfig.json", DEPLOYMENT_CONFIG),
        ("the SDK, where the name or the place changed", SDK),
    ):
        columns = ("Azure ML", "release file", "note")
        lines += [f"### From {title}", "", *_table(columns, map(_moved_row, settings)), ""]
    return "\n".join(lines).rstrip() + "\n"


_COLUMNS = ("Field", "Default", "Unit", "Rule", "Meaning")


def _heading(where: str) -> str:
    place, _, metric = where.partition(":")
    return (f"`{place}`" if place else "Top level") + (f" with metric {metric}" if metric else "")


def _about(part: type[BaseModel]) -> str:
    return " ".join((part.__doc__ or "").split()).replace("``", "`")


def _table(columns: tuple[str, ...], rows: Iterable[str]) -> list[str]:
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *rows]


def _row(name: str, field: FieldInfo, described: Mapping[str, Any]) -> str:
    meaning = (field.description or "").rstrip(".")
    rule = _rule(described)
    default = "required" if "const" in described else _default(field)
    cells = (f"`{name}`", default, unit_of(name), rule, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _moved_row(setting: Moved) -> str:
    field = f"`{setting.field}`" if setting.field else "none"
    return f"| `{setting.name}` | {field} | {setting.note} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "unset"
    if isinstance(value, BaseModel):
        return "the defaults below"
    if isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
        return "one of each metric"
    return (
        f"`{json.dumps(value)}`" if isinstance(value, str | dict | bool) else f"`{_plain(value)}`"
    )


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_plain(item) for item in value)}]"
    return str(value)


def _properties(part: type[BaseModel]) -> dict[str, dict[str, Any]]:
    schema = part.model_json_schema()
    parts = schema.get("$defs", {})
    return {name: _without_references(each, parts) for name, each in schema["properties"].items()}


def _without_references(described: dict[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in described:
        target = parts[described["$ref"].rsplit("/", 1)[1]]
        described = {**target, **{k: v for k, v in described.items() if k != "$ref"}}
    if "anyOf" in described:
        given = [each for each in described["anyOf"] if each.get("type") != "null"]
        described = {**described, **_without_references(given[0], parts)}
    if "items" in described:
        described = {**described, "items": _without_references(described["items"], parts)}
    return described


def _rule(described: Mapping[str, Any]) -> str:
    return ", ".join(_rules(described))


_KINDS = {"integer": "whole number", "number": "number", "boolean": "true or false"}
_BOUNDS = (
    ("exclusiveMinimum", "greater than {}"),
    ("minimum", "at least {}"),
    ("exclusiveMaximum", "less than {}"),
    ("maximum", "at most {}"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} item"),
)


def _rules(described: Mapping[str, Any]) -> Iterator[str]:
    kind = described.get("type", "")
    if "const" in described:
        yield f"`{described['const']}`"
    elif "enum" in described:
        yield f"one of {', '.join(f'`{choice}`' for choice in described['enum'])}"
    elif "oneOf" in described:
        yield "mapping"
    elif "pattern" in described:
        yield pattern_in_words(described["pattern"])
    elif kind == "array":
        yield f"list; each {_rule(described['items'])}"
    elif kind == "object":
        values = described.get("additionalProperties")
        yield "mapping of text to text" if isinstance(values, dict) else "mapping"
    else:
        yield _KINDS.get(kind, "text")
    for key, words in _BOUNDS:
        if key in described:
            yield words.format(number_in_words(described[key]))


if __name__ == "__main__":
    print(page(), end="")
