"""Evidence as little JSON: it is written at every window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pydantic import model_serializer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Compact:
    """A dataclass whose JSON leaves out what has its default."""

    __slots__ = ()

    @model_serializer(mode="wrap")
    def _without_defaults(
        self: DataclassInstance, whole: Callable[[Any], dict[str, Any]]
    ) -> dict[str, Any]:
        written = whole(self)
        return {
            each.name: written[each.name]
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }
