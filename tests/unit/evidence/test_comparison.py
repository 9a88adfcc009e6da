import math

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.evidence.enumeration import Outcome, expectation, outcomes
from weir.evidence.comparison import Comparison, Stream, compared
from weir.evidence.gates import gates
from weir.evidence.noise import LEAST_PAIRS
from weir.evidence.stratum import Stratum
from weir.spec.rollout import Dispersion

RAMP = gates(1.5, 0.05, 3)


def comparison(dispersion: Dispersion = Dispersion.NONE, slack: float = 0.05) -> Comparison:
    return compared(1.25, slack, gates(1.5, slack, 3), dispersion, ratios=True)


def beyond(gate: int, p0: float, more: float) -> float:
    least = min(1.0, RAMP[gate].ratio * p0 + RAMP[gate].slack)
    return least + more * (1 - least)


def windows(gate: int, p0: float, other: float, more: float) -> list[list[Outcome]]:
    return [
        outcomes(n1, beyond(gate, p, more), n0, p)
        for n1, n0, p in ((1, 3, p0), (2, 2, other), (2, 1, p0))
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2), st.floats(0, 0.2), st.floats(0, 0.2), st.floats(0, 1))
def test_a_gate_that_begins_with_its_step_expects_at_most_1_of_a_version_beyond_it(
    gate: int, p0: float, other: float, more: float
) -> None:
    compares = comparison()

    def update(held: Stream, number: int, seen: Stratum) -> Stream:
        return compares.update(held, seen, number, (seen, seen))

    # The step is the window's number; a gate that is passed or to come says nothing.
    for steps in range(1, 4):
        expected = expectation(
            compares.start(),
            update,
            lambda held: math.exp(compares.safe.log_e(held.safe, gate)),
            windows(gate, p0, other, more)[:steps],
        )
        assert expected <= 1 + 1e-9


def test_a_step_that_ends_when_its_gate_is_proven_leaves_the_next_one_an_e_process() -> None:
    compares = comparison(slack=0.5)
    limit = 1.05

    def update(held: Stream, number: int, seen: Stratum) -> Stream:
        gate = held.safe.gate
        proven = gate < 2 and math.exp(compares.safe.log_e(held.safe, gate)) >= limit
        return compares.update(held, seen, gate + 1 if proven else gate, (seen, seen))

    for p0 in (0.0, 0.1, 0.3):
        p1 = 1.5 * p0 + 0.5
        for gate in (1, 2):
            expected = expectation(
                compares.start(),
                update,
                lambda held, gate=gate: math.exp(compares.safe.log_e(held.safe, gate)),
                [outcomes(1, p1, 2, p0)] * 4,
            )
            assert expected <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 0.7),
    st.floats(0, 0.7),
    st.sampled_from([0.0, 0.02, 0.2]),
    st.integers(1, 10),
    st.sampled_from([1.25, 3.0, 20.0]),
)
def test_failures_that_may_come_ten_at_a_time_while_the_noise_is_unknown_expect_at_most_1(
    p0: float, other: float, slack: float, clump: int, margin: float
) -> None:
    """Whole clumps fail or none."""
    compares = compared(margin, slack, gates(2 * margin, slack, 3), Dispersion.ESTIMATED)

    def clumped(n1: int, n0: int, p: float) -> list[Outcome]:
        p1 = min(1.0, margin * p + slack)
        return [
            (probability, Stratum(*(clump * count for count in seen)))
            for probability, seen in outcomes(n1, p1, n0, p)
        ]

    def update(held: Stream, number: int, seen: Stratum) -> Stream:
        return compares.update(held, seen, 0, (seen, seen))

    expected = expectation(
        compares.start(),
        update,
        lambda held: math.exp(held.harm.log_e),
        [clumped(2, 3, p0), clumped(1, 4, other), clumped(1, 1, p0)],
    )
    assert expected <= 1 + 1e-9


def test_a_control_that_never_fails_does_not_protect_a_version_that_always_does() -> None:
    compares = comparison(Dispersion.ESTIMATED)
    stream, window = compares.start(), Stratum(10, 10, 190, 0)
    for _ in range(6):
        stream = compares.update(stream, window, 0, (window, window))
    assert stream.harm.log_e > math.log(20)


def test_a_control_that_never_fails_keeps_no_version_from_promotion_that_never_does() -> None:
    compares = comparison(Dispersion.ESTIMATED)
    stream, window = compares.start(), Stratum(100, 0, 900, 0)
    for _ in range(20):
        stream = compares.update(stream, window, 2, (window, window))
    assert compares.safe.log_e(stream.safe, 2) > math.log(20)


def test_the_noise_of_past_windows_alone_sets_the_bets() -> None:
    compares = comparison(Dispersion.ESTIMATED)
    stream, usual = compares.start(), Stratum(100, 1, 900, 9)
    for number in range(LEAST_PAIRS + 2):
        window = Stratum(100, 1, 900, 9 + number % 3)
        stream = compares.update(stream, window, 0, (window, window))
    assert stream.noise is not None
    phi = stream.noise.phi()
    assert phi is not None
    odd = Stratum(100, 30, 900, 300)
    after = compares.update(stream, odd, 0, (odd, odd))
    assert after.harm == compares.harm.update(stream.harm, odd, phi)
    watched = compares.update(stream, usual, 0, (usual, usual), (900, 300))
    assert watched.noise == after.noise
