import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from weir.evidence.bounded import DifferenceTest, Numbers, Pair, harm_test, safety_test
from weir.evidence.mixture import Wealth
from weir.evidence.scoring import Tallied

VALUES = (0.0, 0.3, 1.0)
"""What a score may be."""

Scored = tuple[int, float, float]
Arm = tuple[int, tuple[float, ...]]
"""How many scores, and the probability of each of VALUES."""

weights = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1)).map(
    lambda each: tuple(weight / sum(each) for weight in each)
)
sizes = st.integers(1, 2)


def mean(probabilities: tuple[float, ...]) -> float:
    return sum(value * p for value, p in zip(VALUES, probabilities, strict=True))


def sums(arm: Arm) -> list[tuple[float, Scored]]:
    """(probability, (n, sum, sum of squares)) of all that an arm may report."""
    n, probabilities = arm
    return [
        (
            len(set(itertools.permutations(picked))) * math.prod(probabilities[i] for i in picked),
            (n, sum(VALUES[each] for each in picked), sum(VALUES[each] ** 2 for each in picked)),
        )
        for picked in itertools.combinations_with_replacement(range(len(VALUES)), n)
    ]


def expectation(test: DifferenceTest, windows: list[tuple[Arm, Arm]]) -> float:
    """Over windows of (treatment, control); guesses are the means of the windows before."""
    held: list[tuple[float, Wealth, Tallied, Tallied]] = [(1.0, test.start(), Tallied(), Tallied())]
    for treatment, control in windows:
        held = [
            (
                known * p * q,
                test.update(
                    wealth, Pair(Numbers(*ours, past.guess()), Numbers(*theirs, other.guess()))
                ),
                Tallied(past.n + ours[0], past.total + ours[1]),
                Tallied(other.n + theirs[0], other.total + theirs[1]),
            )
            for known, wealth, past, other in held
            for p, ours in sums(treatment)
            for q, theirs in sums(control)
            if p * q
        ]
    return math.fsum(known * math.exp(wealth.log_e) for known, wealth, *_ in held)


@settings(max_examples=15, deadline=None)
@given(weights, weights, sizes, sizes, st.floats(0, 0.3))
def test_harm_expects_at_most_1_when_the_treatment_is_higher_by_no_more_than_the_slack(
    ours: tuple[float, ...], theirs: tuple[float, ...], n1: int, n0: int, more: float
) -> None:
    slack = max(mean(ours) - mean(theirs), 0.0) + more * (more > 0.2)
    windows = [((n1, ours), (n0, theirs)), ((1, ours), (1, theirs)), ((1, theirs), (1, theirs))]
    assert expectation(harm_test(slack), windows) <= 1 + 1e-9


@settings(max_examples=15, deadline=None)
@given(weights, weights, sizes, sizes, st.floats(0, 0.3))
def test_safety_expects_at_most_1_when_the_treatment_is_higher_by_at_least_the_slack(
    ours: tuple[float, ...], theirs: tuple[float, ...], n1: int, n0: int, less: float
) -> None:
    slack = mean(ours) - mean(theirs) - less * (less > 0.2)
    windows = [((n1, ours), (n0, theirs)), ((1, ours), (1, theirs)), ((1, ours), (1, theirs))]
    assert expectation(safety_test(slack), windows) <= 1 + 1e-9


def test_the_expectation_exceeds_1_as_soon_as_the_claim_is_false() -> None:
    bad, good = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
    windows = [((4, bad), (4, good))] * 2
    assert expectation(harm_test(0.1), windows) > 1.3
    assert expectation(safety_test(0.1), [(control, ours) for ours, control in windows]) > 1.3


def test_mirrored_numbers_are_those_of_1_less_each() -> None:
    scores = (0.2, 0.9, 1.0)
    squares = sum(score**2 for score in scores)
    seen = Numbers(3, sum(scores), squares, 0.25).mirrored()
    assert math.isclose(seen.total, sum(1 - score for score in scores))
    assert math.isclose(seen.squares, sum((1 - score) ** 2 for score in scores))
    assert math.isclose(seen.around(), Numbers(3, sum(scores), squares, 0.25).around())
