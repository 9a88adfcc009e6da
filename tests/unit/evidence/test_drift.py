"""What the set of labels that moved may know, and what is said of it."""

import math

import pytest

from weir.evidence.drift import Drift, risen
from weir.evidence.guardrail import Evidence, Labels, Names, Verdict
from weir.spec.guardrails import DriftGuardrail
from weir.spec.rollout import Dispersion
from weir.window import VersionCounts

LIMIT = math.log(20)


def drift(dispersion: Dispersion = Dispersion.NONE) -> Drift:
    return Drift.of(DriftGuardrail(), 1, dispersion)


def arm(**labels: int) -> VersionCounts:
    return VersionCounts(requests=sum(labels.values()), labels={"prediction": labels})


def settled(of: Drift, windows: int = 3) -> Evidence:
    """After windows in which both versions said the same."""
    evidence = of.start()
    for _ in range(windows):
        evidence = of.update(evidence, arm(yes=300, no=100), arm(yes=300, no=100), 0)
    return evidence


def test_the_set_that_a_window_is_judged_by_is_of_past_windows() -> None:
    of = drift()
    before = settled(of)
    moved = of.update(before, arm(yes=300, no=100), arm(yes=0, no=400), 0)
    assert of.log_e_harm(moved) <= of.log_e_harm(before)
    again = of.update(moved, arm(yes=300, no=100), arm(yes=0, no=400), 0)
    assert of.log_e_harm(again) > LIMIT


def test_a_value_that_nobody_knew_is_not_in_the_set_of_the_window_that_brings_it() -> None:
    of = drift()
    before = settled(of)
    new = of.update(before, arm(yes=300, no=100), arm(never=400), 0)
    assert of.log_e_harm(new) <= of.log_e_harm(before)


def test_an_equal_version_is_proven_safe() -> None:
    assert drift().log_e_safe(settled(drift(), 6), 0) > LIMIT


def test_noise_is_that_of_one_value_however_the_set_changes() -> None:
    of = drift(Dispersion.ESTIMATED)
    evidence = of.start()
    for number in range(30):
        # The treatment leans to one side, then to the other, and the set follows.
        lean = 10 if number % 2 else -10
        treatment = arm(yes=360 + lean, no=40 - lean)
        evidence = of.update(evidence, arm(yes=360 + number % 3, no=40), treatment, 0)
    noise = evidence.streams["set"].noise
    assert noise is not None
    assert noise.phi() == pytest.approx(1)


def test_the_values_that_rose_are_named() -> None:
    past = Labels({"yes": (10, 90), "no": (80, 10), "other": (10, 0)})
    assert risen(past) == {"no", "other"}
    of = drift()
    evidence = of.update(settled(of), arm(yes=300, no=100), arm(yes=100, no=300), 0)
    said = of.explain(evidence, Verdict.INSUFFICIENT, 0, Names("v1", "v2"))
    assert said.startswith("v2's prediction is no for 37.5 % of 1,600, v1's for 25.0 % of 1,600;")
