"""A backtest as a picture: SVG by hand, readable on light and on dark ground. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from weir.backtest.report import Report, Row, Worse
from weir.backtest.words import traffic_words
from weir.durations import duration

PANEL_WIDTH, PANEL_HEIGHT = 380, 190
LEFT, TOP, BETWEEN_COLUMNS, BETWEEN_ROWS, RIGHT, BOTTOM = 70, 130, 86, 66, 28, 52
CHARACTER_WIDTH = 6.6
"""Of the labels at the axes, at most: what decides whether two of them fit side by side."""

PROBABILITIES = ((0.0, "0 %"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (1.0, "100 %"))
LIKELY = 0.5

STYLE = """
  .ground { fill: #ffffff }
  text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #444c56 }
  .halo { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328 }
  .head { font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .axis { stroke: #8c959f; stroke-width: 1 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .band { opacity: 0.18; stroke: none }
  .back { stroke: #c2410c } .back-fill { fill: #c2410c }
  .on { stroke: #0369a1 } .on-fill { fill: #0369a1 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 }
    text { fill: #adbac7 }
    .title, .head { fill: #e6edf3 }
    .halo { stroke: #0d1117 }
    .grid { stroke: #2d333b } .axis { stroke: #768390 }
    .band { opacity: 0.28 }
    .back { stroke: #fb923c } .back-fill { fill: #fb923c }
    .on { stroke: #38bdf8 } .on-fill { fill: #38bdf8 }
  }
"""


@dataclass(frozen=True)
class _Panel:
    """A frame with a logarithmic x axis, and whatever y axis ``y_of`` makes (0 below, 1 above)."""

    left: float
    top: float
    last: float
    y_of: Callable[[float], float]

    def x(self, times: float) -> float:
        return self.left + PANEL_WIDTH * math.log(times) / math.log(self.last)

    def y(self, value: float) -> float:
        return self.top + PANEL_HEIGHT * (1 - self.y_of(value))

    def frame(self, times: Sequence[float], ticks: Iterable[tuple[float, str]], head: str) -> str:
        right, bottom = self.left + PANEL_WIDTH, self.top + PANEL_HEIGHT
        parts = [_text(self.left, self.top - 12, head, "head")]
        for value, words in ticks:
            y = self.y(value)
            parts.append(_line(self.left, y, right, y, "grid"))
            parts.append(_text(self.left - 8, y + 4, words, anchor="end"))
        parts.append(_line(self.left, bottom, right, bottom, "axis"))
        free = -math.inf
        for value in times:
            x, words = self.x(value), f"{value:g}"
            parts.append(_line(x, bottom, x, bottom + 4, "axis"))
            half = CHARACTER_WIDTH * len(words) / 2
            if x - half >= free:
                parts.append(_text(x, bottom + 18, words, anchor="middle"))
                free = x + half + CHARACTER_WIDTH
        return "\n".join(parts)

    def curve(self, points: Sequence[tuple[float, float, float, float]], colour: str) -> str:
        """``points`` of x, value, and the band's least and greatest."""
        upper = [(self.x(x), self.y(high)) for x, _, _, high in points]
        lower = [(self.x(x), self.y(low)) for x, _, low, _ in reversed(points)]
        middle = [(self.x(x), self.y(value)) for x, value, _, _ in points]
        dots = (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="{colour}-fill"/>' for x, y in middle
        )
        return "\n".join(
            (
                f'<polygon class="band {colour}-fill" points="{_points([*upper, *lower])}"/>',
                f'<polyline class="line {colour}" points="{_points(middle)}"/>',
                *dots,
            )
        )


def plot(report: Report) -> str:
    """The report as an SVG document: a column for each respect in which versions are worse.

    Above, the probability of rollback and of promotion with their 95 % intervals; below, the
    requests that the treatment served until it was rolled back, median up to the 90th percentile.
    """
    columns = [
        (head, rows)
        for head, rows in (
            ("times the control's failure rate", report.of(Worse.FAILURES)),
            ("times the control's latency", report.of(Worse.LATENCY)),
        )
        if rows
    ] or [("times worse", report.rows)]
    width = LEFT + len(columns) * (PANEL_WIDTH + BETWEEN_COLUMNS) - BETWEEN_COLUMNS + RIGHT
    height = TOP + 2 * PANEL_HEIGHT + BETWEEN_ROWS + BOTTOM
    parts = [
        f'<rect class="ground" width="{width}" height="{height}"/>',
        _text(LEFT, 30, "What the policy does to worse versions", "title"),
        _text(LEFT, 52, f"at {traffic_words(report.traffic)}"),
        _legend(76, report),
    ]
    for number, (words, rows) in enumerate(columns):
        parts.append(_column(LEFT + number * (PANEL_WIDTH + BETWEEN_COLUMNS), words, rows))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img">\n<title>What the policy does to worse versions</title>\n'
        f"<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def _legend(top: float, report: Report) -> str:
    least = min(row.runs for row in report.rows)
    rollouts = f"{report.runs:,}" if least == report.runs else f"{least:,} to {report.runs:,}"
    entries = (("back", "rolled back"), ("on", "promoted"))
    parts: list[str] = []
    x = float(LEFT)
    for colour, words in entries:
        parts.append(_line(x, top, x + 22, top, f"line {colour}"))
        parts.append(_text(x + 28, top + 4, words))
        x += 28 + CHARACTER_WIDTH * len(words) + 24
    parts.append(_text(x, top + 4, f"{rollouts} rollouts of each version"))
    return "\n".join(parts)


def _column(left: float, words: str, rows: Sequence[Row]) -> str:
    times = [row.scenario.times for row in rows]
    last = max(*times, 1.01)
    chances = _Panel(left, TOP, last, lambda share: share)
    low = TOP + PANEL_HEIGHT + BETWEEN_ROWS
    likely = [row for row in rows if row.rolled_back.share >= LIKELY]
    bottom, top = _decades(likely)
    costs = _Panel(
        left, low, last, lambda value: (math.log10(max(value, 1)) - bottom) / (top - bottom)
    )
    shares = [(row.scenario.times, row.rolled_back, row.promoted) for row in rows]
    parts = [
        chances.frame(times, PROBABILITIES, "Probability, with its 95 % interval"),
        chances.curve([(x, back.share, *back.interval) for x, back, _ in shares], "back"),
        chances.curve([(x, on.share, *on.interval) for x, _, on in shares], "on"),
        costs.frame(
            times,
            [(10.0**power, _power(power)) for power in range(bottom, top + 1)],
            "Requests to it until rollback: median to 90th percentile",
        ),
        _text(left + PANEL_WIDTH / 2, low + PANEL_HEIGHT + 40, words, anchor="middle"),
    ]
    if likely:
        parts.append(costs.curve([_cost(row) for row in likely], "back"))
        parts += [_time(costs, row) for row in dict.fromkeys((likely[0], likely[-1]))]
    else:
        parts.append(
            _text(
                left + PANEL_WIDTH / 2,
                low + PANEL_HEIGHT / 2,
                "no version here is rolled back in half of the rollouts",
                anchor="middle",
            )
        )
    return "\n".join(parts)


def _cost(row: Row) -> tuple[float, float, float, float]:
    spread = row.requests_to_rollback
    assert spread is not None
    return row.scenario.times, spread.median, spread.median, spread.p90


def _time(panel: _Panel, row: Row) -> str:
    """How long the first or the last of them took: where a falling curve leaves room, above its
    band on the left and below its line on the right."""
    requests, seconds = row.requests_to_rollback, row.seconds_to_rollback
    assert requests is not None
    assert seconds is not None
    x, words = panel.x(row.scenario.times), f"after {duration(seconds.median)}"
    below = panel.y(requests.median) + 20
    if row.scenario.times < panel.last or below > panel.top + PANEL_HEIGHT - 6:
        anchor = "middle" if row.scenario.times < panel.last else "end"
        return _text(x, panel.y(requests.p90) - 8, words, "halo", anchor=anchor)
    return _text(x, below, words, "halo", anchor="end")


def _decades(rows: Sequence[Row]) -> tuple[int, int]:
    """The powers of ten between which the requests of ``rows`` lie; at least one apart."""
    spreads = [row.requests_to_rollback for row in rows if row.requests_to_rollback]
    if not spreads:
        return 0, 3
    # A little room for the words below the lowest point and above the highest.
    bottom = math.floor(math.log10(max(1, min(spread.median for spread in spreads))) - 0.5)
    bottom = max(0, bottom)
    top = math.ceil(math.log10(max(1, *(spread.p90 for spread in spreads))) + 0.25)
    return bottom, max(top, bottom + 1)


def _power(power: int) -> str:
    return f"{10**power:,}" if power < 6 else f"{10 ** (power - 6):,} M"


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
