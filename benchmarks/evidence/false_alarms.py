"""False rollbacks and false promotions on the boundary, the worst case that is promised for."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.evidence.ours import rows
from benchmarks.evidence.table import Section, percent
from benchmarks.peers.calibration import tuned
from benchmarks.peers.traffic import Windows, ramp, steady
from weir.backtest.report import Share
from weir.evidence.bernoulli import BernoulliTest, harm_test, safety_test

ALPHA = 0.05
MILLION = 1_000_000
SIZES = np.repeat([100, 5_000], [200, 196])
"""Requests of both arms in each window: small ones while little is known, a million in all."""

REPLICATES = 1_500
MARGIN, PROMOTE_MARGIN = 1.25, 1.5


def section() -> Section:
    found = [(name, _rollbacks(traffic), _promotions(worse)) for name, traffic, worse in _cases()]
    table = [[name, *map(_cell, shares)] for name, *shares in found]
    worst = max(share for _, *shares in found for share in shares)
    return Section(
        title="False decisions",
        words=(
            f"{REPLICATES} runs of {MILLION:,} requests each, watched at every one of {len(SIZES)}"
            " windows (of 100 requests first, of 5,000 later):"
            f" the treatment exactly on the margin of {MARGIN:g} (rolled back: a mistake), and"
            f" exactly on the promotion margin of {PROMOTE_MARGIN:g} (judged safe: a mistake). Each"
            f" is bounded by {ALPHA:.0%}."
        ),
        heads=["traffic", f"rolled back at {MARGIN:g}x", f"judged safe at {PROMOTE_MARGIN:g}x"],
        rows=table,
        goal=worst <= ALPHA,
        wanted=f"at most {percent(ALPHA)} of either kind: {percent(worst)} at worst",
        afterwards=(
            "In brackets the 95 % interval of each. A z-test with the limit that holds 5 %"
            " on the steady traffic at 1 % rolls back"
            f" {percent(_pooled_z_under_a_ramp())} of equal versions under the ramp with a drifting"
            " rate: sums over a ramp mistake a control that had a bad hour for a good treatment."
        ),
    )


def _cases() -> list[tuple[str, Windows, Windows]]:
    """(name, the treatment on the margin, the treatment on the promotion margin)."""
    windows = len(SIZES)
    ramped = np.repeat([5, 10, 25, 50], windows // 4)
    drift = 0.02 + 0.015 * np.sin(np.linspace(0, 12 * math.pi, windows))
    rising = np.linspace(0.005, 0.05, windows)
    kinds = [
        ("5 %, control at 0.1 %", np.full(windows, 5), np.full(windows, 0.001)),
        ("5 %, control at 1 %", np.full(windows, 5), np.full(windows, 0.01)),
        ("50 %, control at 1 %", np.full(windows, 50), np.full(windows, 0.01)),
        ("50 %, control at 20 %", np.full(windows, 50), np.full(windows, 0.2)),
        ("ramp 5, 10, 25, 50 %, control at 1 %", ramped, np.full(windows, 0.01)),
        ("ramp, control swings 0.5–3.5 %", ramped, drift),
        ("ramp, control rises 0.5 to 5 %", ramped, rising),
    ]
    return [
        (
            name,
            *(
                ramp(
                    17 + number,
                    shares_percent=shares,
                    control=rates,
                    ratio=ratio,
                    requests=SIZES,
                    replicates=REPLICATES,
                )
                for ratio in (MARGIN, PROMOTE_MARGIN)
            ),
        )
        for number, (name, shares, rates) in enumerate(kinds)
    ]


def _rollbacks(traffic: Windows) -> float:
    return _ever(harm_test(MARGIN, 0.0), traffic)


def _promotions(traffic: Windows) -> float:
    return _ever(safety_test(PROMOTE_MARGIN, 0.0), traffic)


def _ever(test: BernoulliTest, traffic: Windows) -> float:
    """The share of runs in which the e-value ever reaches 1/ALPHA."""
    limit = -math.log(ALPHA)
    reached = 0
    for windows in rows(traffic):
        held = test.start()
        for stratum in windows:
            held = test.update(held, stratum)
            if held.log_e >= limit:
                reached += 1
                break
    return reached / traffic.replicates


def _cell(share: float) -> str:
    low, high = Share(round(share * REPLICATES), REPLICATES).interval
    return f"{100 * share:.2g} % ({100 * low:.2g}–{100 * high:.2g})"


def _pooled_z_under_a_ramp() -> float:
    windows = 400
    null = steady(
        5,
        treatment=0.01,
        control=0.01,
        share_percent=10,
        requests=50,
        windows=windows,
        replicates=1_000,
    )
    drifting = ramp(
        6,
        shares_percent=np.linspace(5, 50, windows),
        control=np.linspace(0.01, 0.03, windows),
        ratio=1.0,
        requests=500,
        replicates=1_000,
    )
    return tuned(null, ALPHA).ends(drifting).rollbacks()
