"""The state of every guardrail: little JSON, and the same after every reload."""

import json
import math

import numpy as np
import pytest
from numpy.random import Generator
from pydantic import TypeAdapter

from tests.unit.evidence.chance import GATE, latencies, metric, ramp
from weir.evidence.guardrail import Evidence, Guardrail, Names, Verdict
from weir.evidence.guardrails import guardrails_of
from weir.spec.guardrails import (
    CeilingGuardrail,
    DriftGuardrail,
    FailuresGuardrail,
    LatencyGuardrail,
    MeanGuardrail,
    ScoreGuardrail,
    SlowGuardrail,
)
from weir.spec.rollout import Dispersion, RolloutPolicy
from weir.window import Histogram, Metric, VersionCounts, Window

STORED = TypeAdapter(Evidence)
MOST_BYTES = 2_048
NAMES = Names(control="v1", treatment="v2")
Arms = tuple[VersionCounts, VersionCounts]
"""(control, treatment)"""

SPECS = (
    FailuresGuardrail(),
    FailuresGuardrail(name="strict", margin=1, slack=0),
    SlowGuardrail(threshold_ms=300),
    LatencyGuardrail(),
    LatencyGuardrail(name="strict_latency", margin=1, slack_ms=0, slack=0, quantiles=(50, 90, 99)),
    CeilingGuardrail(at_most=0.05),
    CeilingGuardrail(of="slow", threshold_ms=600, at_most=0.05),
    MeanGuardrail(of="amount"),
    MeanGuardrail(name="lower", of="amount", worse="lower", margin=1, promote_margin=1.2),
    ScoreGuardrail(of="score"),
    ScoreGuardrail(name="no_slack", of="score", slack=0),
    DriftGuardrail(),
)
KINDS = {
    f"{guardrail.name}, {dispersion.value}": guardrail
    for dispersion in Dispersion
    for guardrail in guardrails_of(RolloutPolicy(guardrails=SPECS, dispersion=dispersion))
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def arm(chance: Generator, requests: int, sigma: float = 1.5) -> VersionCounts:
    """Heavy tails, skewed amounts, and more values of a label than are remembered."""
    shares = 1 / np.arange(1, 61) ** 1.2
    labels = chance.multinomial(requests, shares / shares.sum()).tolist()
    return VersionCounts(
        requests=requests,
        failures=chance.binomial(requests, 0.01),
        latency_ms=latencies(chance, requests, 100, sigma),
        metrics={
            "amount": metric(chance.lognormal(3, 1, requests)),
            "score": metric(chance.beta(4, 2, requests)),
        },
        labels={"prediction": {f"category_{i:03d}": n for i, n in enumerate(labels) if n}},
    )


@pytest.fixture(scope="module")
def realistic() -> list[Arms]:
    chance = np.random.default_rng(8)
    sizes = (tuple(5 * n for n in ramp(window / 300)) for window in range(300))
    return [(arm(chance, n0), arm(chance, n1)) for n1, n0 in sizes]


@every_kind
def test_300_windows_take_less_than_2_kilobytes(kind: str, realistic: list[Arms]) -> None:
    of, most = KINDS[kind], 0
    evidence = of.start()
    for window, (control, treatment) in enumerate(realistic):
        evidence = of.update(evidence, control, treatment, window // 100)
        if window % 10 == 9:
            most = max(most, len(STORED.dump_json(evidence)))
    assert most <= MOST_BYTES


@every_kind
def test_evidence_reloaded_at_every_window_stays_bit_identical(
    kind: str, realistic: list[Arms]
) -> None:
    of = KINDS[kind]
    kept = reloaded = of.start()
    for window, (control, treatment) in enumerate(realistic[::6]):
        gate = window // 17
        kept = of.update(kept, control, treatment, gate)
        stored = STORED.dump_json(of.update(reloaded, control, treatment, gate))
        reloaded = STORED.validate_json(stored)
        assert reloaded == kept
        assert STORED.dump_json(kept) == stored
    assert of.log_e_harm(reloaded) == of.log_e_harm(kept)
    assert of.log_e_safe(reloaded, GATE) == of.log_e_safe(kept, GATE)


MANY = 10**12


def counts(
    requests: int,
    failures: int = 0,
    ms: float = 100,
    number: float | None = None,
    labels: dict[str, int] | None = None,
    scale: int = 4,
) -> VersionCounts:
    """All latencies are ``ms``, all reported numbers ``number``."""
    bucket = math.ceil(math.log2(ms) * 2**scale) - 1 if ms else 0
    held = Histogram(
        scale=scale,
        zero=0 if ms else requests,
        counts={bucket: requests} if ms and requests else {},
    )
    n = requests
    reported = None if number is None else Metric(n=n, sum=n * number, sum_sq=n * number**2)
    return VersionCounts(
        requests=requests,
        failures=failures,
        latency_ms=held,
        metrics={} if reported is None else {"amount": reported, "score": reported},
        labels={"prediction": labels} if labels else {},
    )


def many_values(start: int) -> VersionCounts:
    return counts(100, labels={f"v{(start * 7 + place) % 97}": 1 for place in range(100)})


huge = counts(MANY, number=0.25, labels={"a": MANY // 2, "b": MANY // 2})
one = counts(1, number=0.25, labels={"a": 1})
EQUAL: dict[str, list[Arms]] = {
    "no requests": [(counts(0), counts(0))] * 30,
    "no requests of the control": [(counts(0), counts(50, number=0.5))] * 30,
    "one request each": [(one, one)] * 600,
    "huge": [(huge, huge)] * 50,
    "huge against one": [(huge, one)] * 50,
    "one against huge": [(one, huge)] * 50,
    "nothing reported": [(VersionCounts(requests=100), VersionCounts(requests=100))] * 50,
    "negative numbers": [(counts(100, number=-10), counts(100, number=-10))] * 50,
    "tiny numbers": [(counts(100, number=1e-200), counts(100, number=1e-200))] * 50,
    "great numbers": [(counts(100, number=9e48), counts(100, number=9e48))] * 50,
    "zeros": [(counts(100, number=0), counts(100, number=0))] * 50,
    "scores outside 0 to 1": [(counts(100, number=1.5), counts(100, number=1.5))] * 50,
    "many values": [(many_values(i), many_values(i + 1)) for i in range(50)],
    "latencies of 0": [(counts(100, ms=0), counts(100, ms=0))] * 50,
    "scales that differ": [
        (counts(100, ms=400, scale=i % 9), counts(100, ms=400, scale=(i + 4) % 9))
        for i in range(50)
    ],
    "a scale that is always coarser": [(counts(100, ms=400, scale=0), counts(100, ms=400, scale=8))]
    * 50,
    "the widest buckets": [
        (counts(100, ms=0.5, scale=(4, -9)[i % 2]), counts(100, ms=0.5)) for i in range(50)
    ],
}
"""Windows of two versions that are alike."""

WORSE: dict[str, list[Arms]] = {
    "all fail": [(counts(100, 100), counts(100, 100))] * 50,
    "only the treatment fails": [(counts(100), counts(100, 100))] * 50,
    "only the control fails": [(counts(100, 100), counts(100))] * 50,
    "one request each, some fail": [(counts(1, i % 2), counts(1, i // 2 % 2)) for i in range(99)],
    "huge and failing": [(counts(MANY, MANY // 2), counts(MANY, MANY))] * 50,
    "the slowest": [(counts(100, ms=2.0**-60), counts(100, ms=2.0**60))] * 50,
    "numbers of opposite sign": [(counts(9, number=-9e48), counts(9, number=9e48))] * 50,
}


def numbers(stored: object) -> list[float]:
    if isinstance(stored, dict):
        return [number for value in stored.values() for number in numbers(value)]
    if isinstance(stored, list):
        return [number for value in stored for number in numbers(value)]
    return [stored] if isinstance(stored, float | int) else []


def watched(of: Guardrail, windows: list[Arms]) -> float:
    """The greatest log e-value of harm; everything on the way has to be a number and words."""
    evidence, worst = of.start(), 0.0
    for window, (control, treatment) in enumerate(windows):
        gate = min(window // 15, GATE)
        evidence = of.update(evidence, control, treatment, gate)
        harm, safe = of.log_e_harm(evidence), of.log_e_safe(evidence, gate)
        worst = max(worst, harm)
        assert math.isfinite(harm)
        assert math.isfinite(safe)
    stored = STORED.dump_json(evidence)
    assert STORED.validate_json(stored) == evidence
    assert all(map(math.isfinite, numbers(json.loads(stored))))
    least, greatest = of.interval(evidence, 0.05, GATE) or (0.0, None)
    assert math.isfinite(least)
    assert greatest is None or least <= greatest < math.inf
    assert all(of.explain(evidence, verdict, GATE, NAMES) for verdict in Verdict)
    return worst


@every_kind
def test_two_versions_that_are_alike_never_look_harmful(kind: str) -> None:
    for name, windows in EQUAL.items():
        assert watched(KINDS[kind], windows) < math.log(20), name


@every_kind
def test_extremes_are_numbers_all_the_way(kind: str) -> None:
    for windows in WORSE.values():
        watched(KINDS[kind], windows)


def test_the_smallest_and_largest_limits_can_be_tested() -> None:
    for share in (1e-300, 1e-9, 0.999, 1 - 1e-15):
        (of,) = guardrails_of(RolloutPolicy(guardrails=(CeilingGuardrail(at_most=share),)))
        watched(of, WORSE["all fail"] + EQUAL["huge"])


def test_every_window_here_is_one_that_telemetry_may_report() -> None:
    for windows in (*EQUAL.values(), *WORSE.values()):
        for control, treatment in windows:
            Window.model_validate(
                {
                    "id": 1,
                    "start": "2025-11-24T12:00:00Z",
                    "end": "2025-11-24T12:00:05Z",
                    "split": {},
                    "versions": {"v1": control, "v2": treatment},
                }
            )
