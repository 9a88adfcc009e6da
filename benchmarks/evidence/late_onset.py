"""A version that turns bad after a long healthy time, and what the reserve for it costs."""

from __future__ import annotations

import numpy as np

from benchmarks.evidence.ours import Weir
from benchmarks.evidence.table import Section, number
from benchmarks.peers.rules import NEVER
from benchmarks.peers.traffic import Windows, steady
from weir.evidence.bernoulli import CASH

CONTROL = 0.01
SHARE = 5
HEALTHY = (0, 1_000, 10_000, 100_000)
RATIOS = {2.0: (20, 30_000), 5.0: (5, 6_000), 50.0: (1, 600)}
"""Ratio: (treatment requests a window, the most of them)."""

REPLICATES = 100
HEALTHY_WINDOWS = 100


def section() -> Section:
    rows = []
    for healthy in HEALTHY:
        cells = []
        for ratio in RATIOS:
            cells += [number(_median(healthy, ratio, cash)) for cash in (0.0, CASH)]
        rows.append([f"{healthy:,}", *cells])
    return Section(
        title="Turning bad late",
        words=(
            "Treatment requests from the moment at which a version turns bad until its rollback,"
            f" median of {REPLICATES} runs, after so many healthy requests to it ({SHARE} %,"
            f" control {CONTROL:.0%}, margin 1.25); without a reserve, and with {CASH:.0%} of the"
            " wealth kept back and bet by a power law."
        ),
        heads=[
            "healthy requests",
            *(f"{ratio:g}x {how}" for ratio in RATIOS for how in ("without", "with")),
        ],
        rows=rows,
    )


def _median(healthy: int, ratio: float, cash: float) -> float:
    requests, most = RATIOS[ratio]
    bad = _traffic(ratio * CONTROL, requests, most // requests)
    if healthy:
        good = _traffic(CONTROL, healthy // HEALTHY_WINDOWS, HEALTHY_WINDOWS)
        bad = _joined(good, bad)
    ends = Weir(cash=cash, promotes=False).ends(bad)
    after = np.where(ends.window == NEVER, np.inf, ends.served(bad.n1) - healthy)
    return float(np.median(after[after > 0]))


def _traffic(rate: float, requests: int, windows: int) -> Windows:
    return steady(
        3,
        treatment=rate,
        control=CONTROL,
        share_percent=SHARE,
        requests=requests,
        windows=windows,
        replicates=REPLICATES,
    )


def _joined(first: Windows, then: Windows) -> Windows:
    pairs = ((first.n1, then.n1), (first.x1, then.x1), (first.n0, then.n0), (first.x0, then.x0))
    return Windows(*(np.concatenate(pair, axis=1) for pair in pairs))
