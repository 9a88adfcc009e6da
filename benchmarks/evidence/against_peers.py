"""weir's rule and the peers' on the same traffic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.evidence.ours import Weir
from benchmarks.evidence.table import Section, number, percent
from benchmarks.peers.argo import Argo
from benchmarks.peers.bounds import unknown_control
from benchmarks.peers.calibration import matched, tolerances, tuned
from benchmarks.peers.flagger import Flagger
from benchmarks.peers.kayenta import Kayenta, every_points
from benchmarks.peers.rules import Rule
from benchmarks.peers.traffic import Windows, steady

CONTROL = 0.01
SHARE = 10
ALPHA = 0.05
WINDOW_SECONDS = 2
INTERVAL_SECONDS = 60
MINUTES = 30
INTERVALS_TO_PROMOTION = 10
REPLICATES = 400
RATIOS = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 50.0)
GROSS = 3.0
GOAL = 4.0
BOTH_AT_3 = "both at 3 %"

EVERY = INTERVAL_SECONDS // WINDOW_SECONDS


def at_defaults(requests_per_minute: int = 6_000) -> Section:
    """The peers as their documentation sets them up."""
    rules: Mapping[str, Rule] = {
        "weir": Weir(),
        "Argo Rollouts": Argo(tolerated=0.05, count=INTERVALS_TO_PROMOTION, every=EVERY),
        "Flagger": Flagger(tolerated=0.01, steps=INTERVALS_TO_PROMOTION, every=EVERY),
        "Kayenta": Kayenta(every_points(5, MINUTES), either=True, every=EVERY),
    }
    return Section(
        title=f"Against the peers' defaults, {requests_per_minute:,} requests a minute",
        words=_setting(requests_per_minute)
        + " Argo Rollouts: success rate 95 %, failureLimit 0, count 10. Flagger: success rate 99 %,"
        " threshold 1, 10 steps. Kayenta: its judge on a point a minute, looked at every 5 points."
        " They compare with a fixed threshold (Argo Rollouts, Flagger), so that what is a false"
        " alarm depends on the control's own rate.",
        heads=["treatment", *rules],
        rows=[[name, *cells] for name, cells in _rows(rules, requests_per_minute)],
        afterwards=LEGEND,
    )


def at_matched_alarms(requests_per_minute: int = 6_000) -> Section:
    """The peers' thresholds set as sharp as 5 % false alarms on equal versions at 1 % allow."""
    null = _traffic(requests_per_minute, CONTROL, CONTROL, seed=99, replicates=1_000)
    settings = tolerances(null, EVERY)
    argo = matched(
        lambda tolerated: Argo(tolerated, count=INTERVALS_TO_PROMOTION, every=EVERY),
        settings,
        null,
        ALPHA,
    )
    flagger = matched(
        lambda tolerated: Flagger(tolerated, steps=INTERVALS_TO_PROMOTION, every=EVERY),
        settings,
        null,
        ALPHA,
    )
    z_test = tuned(null, ALPHA)
    rules: Mapping[str, Rule] = {
        "weir": Weir(),
        f"Argo Rollouts ({argo.tolerated:.2%})": argo,
        f"Flagger ({flagger.tolerated:.2%})": flagger,
        f"z-test ({z_test.limit:.2f})": z_test,
    }
    rows, ratios = [], []
    for name, cells in _rows(rules, requests_per_minute):
        rows.append([name, *cells, _oracle(name, requests_per_minute)])
    for ratio in (ratio for ratio in RATIOS if ratio >= GROSS):
        bad = _bad_requests(rules, requests_per_minute, ratio)
        ratios.append((ratio, bad[1] / bad[0], bad[2] / bad[0]))
    said = "; ".join(f"{r:g}x: {argo:.1f} and {flagger:.1f}" for r, argo, flagger in ratios)
    return Section(
        title=f"At matched false alarms, {requests_per_minute:,} requests a minute",
        words=(
            "The same traffic, with each peer's threshold set to the sharpest that rolls back at"
            " most 5 % of equal versions at 1 % (in 1,000 runs of their own, so that it shows as"
            " 4 to 6 % here). That knowledge of the control's rate is a gift:"
            " in the last row the control fails at 3 %, with the thresholds left where they are."
            " weir's false alarms are bounded at the margin of 1.25, where a threshold that is"
            " tuned to equal versions has no bound."
        ),
        heads=["treatment", *rules, "oracle (B2)"],
        rows=rows,
        goal=all(min(argo, flagger) >= GOAL for _, argo, flagger in ratios),
        wanted=(
            f"from {GROSS:g}x on, Argo Rollouts and Flagger let at least {GOAL:g} times as many bad"
            f" requests through: {said}"
        ),
        afterwards=(
            f"{LEGEND}\n\nBad requests of Argo Rollouts and of Flagger over weir's (mean): {said}."
        ),
    )


LEGEND = (
    "Cells: rolled back / promoted within the half hour, then for those rolled back the median of"
    " treatment requests and of bad ones until then."
)


def _setting(requests_per_minute: int) -> str:
    per_interval = requests_per_minute * SHARE // 100
    return (
        f"Control {CONTROL:.0%}, the treatment at {SHARE} % of {requests_per_minute:,} requests a"
        f" minute throughout, for {MINUTES} minutes, {REPLICATES} runs. weir looks every"
        f" {WINDOW_SECONDS} s, the peers every {INTERVAL_SECONDS} s, which is {per_interval:,}"
        " treatment requests. weir: margin 1.25, promote_margin 1.5, no slack."
    )


def _cases() -> list[tuple[str, float, float]]:
    """(name, treatment's rate, control's rate)."""
    ratios = [(f"{ratio:g}x", ratio * CONTROL, CONTROL) for ratio in RATIOS]
    return [*ratios, (BOTH_AT_3, 0.03, 0.03)]


def _traffic(
    per_minute: int, treatment: float, control: float, seed: int, replicates: int = REPLICATES
) -> Windows:
    return steady(
        seed,
        treatment=treatment,
        control=control,
        share_percent=SHARE,
        requests=per_minute * SHARE * WINDOW_SECONDS // 6_000,
        windows=MINUTES * 60 // WINDOW_SECONDS,
        replicates=replicates,
    )


def _rows(rules: Mapping[str, Rule], per_minute: int) -> list[tuple[str, list[str]]]:
    rows = []
    for seed, (name, treatment, control) in enumerate(_cases()):
        traffic = _traffic(per_minute, treatment, control, seed)
        rows.append((name, [_cell(rule, traffic) for rule in rules.values()]))
    return rows


def _cell(rule: Rule, traffic: Windows) -> str:
    ends = rule.ends(traffic)
    shares = f"{percent(ends.rollbacks())} / {percent(ends.promotions())}"
    if not ends.rolled_back.any():
        return shares
    served, bad = (
        float(np.median(ends.served(counts)[ends.rolled_back]))
        for counts in (traffic.n1, traffic.x1)
    )
    return f"{shares}; {number(served)}, {number(bad)}"


def _bad_requests(rules: Mapping[str, Rule], per_minute: int, ratio: float) -> list[float]:
    """Mean of bad treatment requests until the end, whatever it is."""
    traffic = _traffic(per_minute, ratio * CONTROL, CONTROL, seed=7)
    return [float(rule.ends(traffic).served(traffic.x1).mean()) for rule in rules.values()]


def _oracle(name: str, _per_minute: int) -> str:
    if name == BOTH_AT_3:
        return "–"
    rate = float(name.rstrip("x")) * CONTROL
    bound = unknown_control(rate, CONTROL, ALPHA, (100 - SHARE) / SHARE, 1.25)
    return "–" if bound == float("inf") else f"{number(bound)}, {number(bound * rate)}"
