"""Markdown tables, and the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, what it says, a table, and whether its goal is met.

    ``goal`` is None where there is none to meet; ``wanted`` says what it is, and what was found.
    """

    title: str
    words: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    goal: bool | None = None
    wanted: str = ""
    afterwards: str = ""

    def markdown(self) -> str:
        lines = [f"## {self.title}", "", self.words, "", *table(self.heads, self.rows)]
        if self.afterwards:
            lines += ["", self.afterwards]
        return "\n".join(lines)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line(heads), _line(["---"] * len(heads)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def number(value: float) -> str:
    """Grouped, with two digits where it is small; a dash for what never came."""
    if math.isinf(value) or math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
