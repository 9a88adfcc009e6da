"""Failures that come in clumps: what each ``dispersion`` of a policy makes of them."""

from __future__ import annotations

import numpy as np

from benchmarks.evidence.ours import Dispersed
from benchmarks.evidence.table import Section, number, percent
from benchmarks.peers.traffic import Windows
from weir.spec.rollout import Dispersion

CONTROL = 0.02
MARGIN = 1.25
WINDOWS = 300
TREATMENT, OTHERS = 48, 448
REPLICATES = 300
REGRESSION = 3.0
PODS = 5
KINDS = (
    "independent",
    "each failure comes 4-fold",
    "rates differ by window",
    "rates differ by pod",
)


def section() -> Section:
    rows = []
    for kind in KINDS:
        alarms, delays = [], []
        for dispersion in Dispersion:
            rule = Dispersed(dispersion, MARGIN)
            alarms.append(percent(rule.ends(_traffic(kind, MARGIN)).rollbacks()))
            bad = _traffic(kind, REGRESSION)
            delays.append(number(float(np.median(rule.ends(bad).served(bad.n1)))))
        rows.append([kind, *alarms, *delays])
    names = [str(dispersion) for dispersion in Dispersion]
    return Section(
        title="Failures in clumps",
        words=(
            f"False rollbacks of a version on the margin of {MARGIN:g} over"
            f" {WINDOWS * TREATMENT:,} treatment requests (bound 5 %), and treatment requests until"
            f" {REGRESSION:g}x is rolled back (median); {REPLICATES} runs, control"
            f" {CONTROL:.0%}, windows of {TREATMENT} and {OTHERS} requests. Rates that differ by"
            " window are drawn anew for each version and window (gamma, standard deviation two"
            f" thirds of the mean), by pod once for each of {PODS} pods a version."
        ),
        heads=[
            "failures",
            *(f"{name}: false" for name in names),
            *(f"{name}: delay" for name in names),
        ],
        rows=rows,
        afterwards=(
            "No setting holds its budget where pods differ for good: such a version is better or"
            " worse than the control, and more windows prove it."
        ),
    )


def _traffic(kind: str, ratio: float) -> Windows:
    rng = np.random.default_rng(11)
    shape = (REPLICATES, WINDOWS)
    counts = []
    for requests, rate in ((TREATMENT, ratio * CONTROL), (OTHERS, CONTROL)):
        if kind == KINDS[1]:
            failures = np.minimum(4 * rng.binomial(requests // 4, rate, shape), requests)
        elif kind == KINDS[2]:
            rates = np.minimum(rng.gamma(2.25, rate / 2.25, shape), 1)
            failures = rng.binomial(requests, rates)
        elif kind == KINDS[3]:
            pods = np.minimum(rng.gamma(9, rate / 9, (REPLICATES, 1, PODS)), 1)
            failures = rng.binomial(requests // PODS, pods, (*shape, PODS)).sum(axis=2)
        else:
            failures = rng.binomial(requests, rate, shape)
        counts += [np.full(shape, requests), failures]
    return Windows(*counts)
