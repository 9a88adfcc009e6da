"""What versions report of their answers, from the rows that reports.kql gives. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from weir.window import MOST_VALUES, OTHER, Metric

LONGEST_HEADER_BYTES = 256
"""A longer header is ignored: cut, it could end in half a number."""

MOST_NAMES = 20
"""Of numbers and of labels each, that are kept of an endpoint: the most frequent."""

METRICS = "metrics"
LABELS = "labels"


class Report(NamedTuple):
    """One row of the result. A label's row without ``value`` counts its every value."""

    kind: str
    version: str
    name: str
    value: str
    n: int
    sum: float
    sum_sq: float


@dataclass(frozen=True)
class Reported:
    """What one version reported."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def reported(reports: Iterable[Report]) -> Mapping[str, Reported]:
    """Result rows, in any order and of any number of runs, added up per version.

    Versions are told apart by the same values of a label: what is rare over all of them is
    ``OTHER`` for each. Raises ValueError for a kind that the query does not give.
    """
    metrics: dict[tuple[str, str], Metric] = defaultdict(Metric)
    totals: dict[tuple[str, str], int] = defaultdict(int)
    values: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for kind, version, name, value, n, total, total_sq in reports:
        if kind == METRICS:
            metrics[version, name] = metrics[version, name].plus(
                Metric(n=n, sum=total, sum_sq=total_sq)
            )
        elif kind != LABELS:
            raise ValueError(f"the query gave the unknown kind {kind!r}")
        elif value:
            of_version = values[name][value]
            of_version[version] = of_version.get(version, 0) + n
        else:
            totals[version, name] += n

    numbers = _most_frequent({key: metric.n for key, metric in metrics.items()})
    names = _most_frequent(totals)
    labels: dict[str, dict[str, Mapping[str, int]]] = defaultdict(dict)
    kept = {name: _kept(values[name]) for name in names}
    for (version, name), total in sorted(totals.items()):
        if name in names:
            labels[version][name] = _with_other(kept[name], version, total)
    versions = {version for version, _ in (*metrics, *totals)}
    return {
        version: Reported(
            {name: metrics[version, name] for name in numbers if (version, name) in metrics},
            labels[version],
        )
        for version in versions
    }


def _most_frequent(counts: Mapping[tuple[str, str], int]) -> list[str]:
    """The names that are kept, of counts by version and name, in alphabetical order."""
    everywhere: dict[str, int] = defaultdict(int)
    for (_, name), count in counts.items():
        everywhere[name] += count
    return sorted(sorted(everywhere, key=lambda name: (-everywhere[name], name))[:MOST_NAMES])


def _kept(values: Mapping[str, Mapping[str, int]]) -> Mapping[str, Mapping[str, int]]:
    """The most frequent values, each with its count per version."""
    frequent = sorted(values, key=lambda value: (-sum(values[value].values()), value))
    return {value: values[value] for value in sorted(frequent[:MOST_VALUES])}


def _with_other(
    kept: Mapping[str, Mapping[str, int]], version: str, total: int
) -> Mapping[str, int]:
    counts = {value: of[version] for value, of in kept.items() if version in of}
    rest = total - sum(counts.values())
    if rest > 0:
        counts[OTHER] = counts.get(OTHER, 0) + rest
    return counts
