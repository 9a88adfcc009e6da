"""weir's rule as the benchmark runs it is the one that releases use."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evidence.ours import Dispersed, Weir, rows
from benchmarks.evidence.table import Section, number, percent
from benchmarks.peers.rules import NEVER
from benchmarks.peers.traffic import Windows, steady
from weir.evidence.rates import Rate
from weir.spec.guardrails import FailuresGuardrail
from weir.spec.rollout import Dispersion
from weir.window import VersionCounts


def traffic(ratio: float, windows: int = 400) -> Windows:
    return steady(
        1,
        treatment=0.01 * ratio,
        control=0.01,
        share_percent=10,
        requests=20,
        windows=windows,
        replicates=20,
    )


def test_a_gross_regression_is_rolled_back_and_an_equal_version_promoted() -> None:
    assert Weir().ends(traffic(10)).rollbacks() == 1
    assert Weir().ends(traffic(1, 1_500)).promotions() > 0.9


def test_it_ends_at_the_window_at_which_the_guardrail_of_a_release_would() -> None:
    guardrail = Rate.of(FailuresGuardrail(slack=0), 1, Dispersion.NONE)
    seen = traffic(5)
    for at, windows in zip(Weir().ends(seen).window, rows(seen), strict=True):
        evidence = guardrail.start()
        for number_of_window, stratum in enumerate(windows):
            evidence = guardrail.update(
                evidence,
                VersionCounts(requests=stratum.control_requests, failures=stratum.control_failures),
                VersionCounts(
                    requests=stratum.treatment_requests, failures=stratum.treatment_failures
                ),
                0,
            )
            if guardrail.log_e_harm(evidence) >= -np.log(0.05):
                assert number_of_window == at
                break


@pytest.mark.parametrize("dispersion", list(Dispersion))
def test_every_dispersion_finds_a_gross_regression_in_the_end(dispersion: Dispersion) -> None:
    assert (Dispersed(dispersion).ends(traffic(10)).window != NEVER).all()


def test_windows_without_an_arm_are_left_out() -> None:
    counts = np.array([[5, 0, 5]]), np.array([[0, 0, 1]]), np.array([[95, 95, 95]])
    windows = Windows(*counts, np.array([[1, 1, 1]]))
    assert len(list(next(rows(windows)))) == 2


def test_a_section_is_markdown() -> None:
    said = Section("Title", "Words.", ["a", "b"], [["1", "2"]], afterwards="After.").markdown()
    assert said == "## Title\n\nWords.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nAfter."
    assert [percent(0.025), number(1234.5), number(2.61), number(float("inf"))] == [
        "2.5 %",
        "1,234",
        "2.6",
        "–",
    ]
