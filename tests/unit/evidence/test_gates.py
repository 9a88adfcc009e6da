import itertools

import pytest

from weir.evidence.gates import gates


def test_gates_fall_geometrically_from_4_to_exactly_the_promotion_margin() -> None:
    ramp = gates(1.5, 0.002, 4)
    assert ramp[0].ratio == 4.0
    assert ramp[-1].ratio == 1.5
    growths = {round(later.ratio / earlier.ratio, 9) for earlier, later in itertools.pairwise(ramp)}
    assert len(growths) == 1


def test_a_single_gate_is_the_promotion_margin_itself() -> None:
    (only,) = gates(1.5, 0.002, 1)
    assert (only.ratio, only.slack) == (1.5, 0.002)


def test_a_policy_without_evidence_steps_has_no_gates() -> None:
    assert gates(1.5, 0.002, 0) == ()


def test_slack_grows_with_the_gate_and_ends_at_the_policys() -> None:
    ramp = gates(1.5, 0.002, 3)
    assert [gate.slack for gate in ramp] == [
        pytest.approx(0.012),
        pytest.approx(0.0058, abs=1e-4),
        0.002,
    ]


def test_slack_never_grows_beyond_10_points_unless_the_policy_says_so() -> None:
    assert gates(1.5, 0.05, 2)[0].slack == 0.1
    assert gates(1.5, 0.3, 2)[0].slack == 0.3


def test_a_promotion_margin_beyond_4_needs_no_coarser_gate() -> None:
    assert {gate.ratio for gate in gates(6.0, 0.002, 3)} == {6.0}


def test_no_slack_stays_no_slack() -> None:
    assert {gate.slack for gate in gates(1.5, 0.0, 3)} == {0.0}
