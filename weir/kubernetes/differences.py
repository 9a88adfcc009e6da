"""What would change in an object, a field a line. Pure; the server has worked it out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from weir.spec.text import printable

_SERVERS_OWN = (
    *("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"),
    # Who goes together with whom follows from the rest.
    "ownerReferences",
)
_LONGEST_VALUE = 80
_HIDDEN_KINDS = ("Secret",)
_ENVIRONMENT = "env"
_OF_ENVIRONMENT = re.compile(rf"(^|\.){_ENVIRONMENT}(\[|\.|$)")


def difference(present: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines such as "~ Deployment fraud--v2: spec.replicas: 2 -> 3"; none when nothing changes.

    ``present`` is the object as the server has it, ``wanted`` what a dry run made of it. Neither
    values of a Secret nor those of environment variables are shown.
    """
    title = f"{wanted['kind']} {wanted['metadata']['name']}"
    if present is None:
        return (f"+ {title}",)
    shows_values = wanted["kind"] not in _HIDDEN_KINDS
    return tuple(
        f"~ {title}: {place}" + (f": {_change(place, old, new)}" if shows_values else "")
        for place, old, new in _changes(_told(present), _told(wanted), "")
    )


def _change(place: str, old: Any, new: Any) -> str:
    if not _OF_ENVIRONMENT.search(place):
        return f"{_shown(old)} -> {_shown(new)}"
    if old is None:
        return "added"
    return "removed" if new is None else "changed"


def _told(thing: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what the server keeps for itself."""
    metadata = {key: value for key, value in thing["metadata"].items() if key not in _SERVERS_OWN}
    rest = {key: value for key, value in thing.items() if key not in ("status", "metadata")}
    return {**rest, "metadata": metadata}


def _changes(old: Any, new: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            there = f"{place}.{key}" if place else key
            if key == _ENVIRONMENT:
                yield from _variables(old.get(key), new.get(key), there)
            else:
                yield from _changes(old.get(key), new.get(key), there)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            name = other.get("name", number) if isinstance(other, dict) else number
            yield from _changes(one, other, f"{place}[{name}]")
    else:
        yield place, old, new


def _variables(old: Any, new: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Environment variables by their names; their order counts for little."""
    before, after = ({one["name"]: one for one in many or ()} for many in (old, new))
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one != other:
            yield f"{place}[{name}]", one, other


def _without_environment(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_environment(inner) for key, inner in value.items() if key != _ENVIRONMENT
        }
    return [_without_environment(one) for one in value] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = printable(str(_without_environment(value)).replace("\n", " "))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
