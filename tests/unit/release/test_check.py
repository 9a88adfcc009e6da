"""The samples of a release, and what their answers come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.story import loaded, release
from tests.unit.release.stages import with_v1
from weir.document import Outcome, PastRelease
from weir.ports import CheckReport
from weir.spec.load import Loaded

NOBODY = "no answer from http://10.0.0.1/score: ConnectionError"


def checked(report: CheckReport) -> PastRelease:
    there = with_v1()
    there.scorer.report = report
    return release(there.platform, _with_samples(loaded("v2")))


def _with_samples(wanted: Loaded) -> Loaded:
    check = wanted.spec.check.model_copy(update={"samples": "samples.ndjson"})
    return replace(wanted, spec=wanted.spec.model_copy(update={"check": check}))


def test_a_gateway_that_nobody_reaches_is_not_the_versions_fault() -> None:
    past = checked(CheckReport(samples=3, failed=3, first_failure=NOBODY, unanswered=3))
    assert (past.outcome, past.reason) == (Outcome.FAILED, "check.unreachable")
    assert (
        "none of 3 samples got an answer from http://10.0.0.1/score: ConnectionError." in past.words
    )
    assert "or leave check.samples out; then release again." in past.words


@pytest.mark.parametrize("unanswered", [0, 2])
def test_one_answer_is_enough_to_look_at_the_version(unanswered: int) -> None:
    past = checked(CheckReport(samples=3, failed=3, first_failure=NOBODY, unanswered=unanswered))
    assert past.reason == "check.failed"
