import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from weir.window import Histogram, VersionCounts, Window

NOON = datetime(2025, 11, 24, 12, tzinfo=UTC)


def bucket_of(latency_ms: float) -> int:
    return math.ceil(math.log2(latency_ms) * 16) - 1


def histogram(*latencies_ms: float) -> Histogram:
    counts: dict[int, int] = {}
    for latency_ms in latencies_ms:
        counts[bucket_of(latency_ms)] = counts.get(bucket_of(latency_ms), 0) + 1
    return Histogram(counts=counts)


def test_a_bucket_is_at_most_4_point_5_percent_wide() -> None:
    assert 1.04 < Histogram().base <= 1.045


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=30), st.floats(0.05, 2e4))
def test_slower_than_encloses_the_true_number(latencies: list[float], threshold: float) -> None:
    held = histogram(*latencies)
    true = sum(latency > threshold for latency in latencies)
    assert held.slower_than(threshold, sure=True) <= true
    assert held.slower_than(threshold, sure=False) >= true


def test_a_threshold_on_a_bucket_bound_leaves_no_doubt() -> None:
    held = Histogram(counts=dict.fromkeys(range(-20, 100), 1))
    for bound in range(-18, 98):
        threshold_ms = held.base**bound
        assert held.slower_than(threshold_ms, sure=True) == 100 - bound
        assert held.slower_than(threshold_ms, sure=False) == 100 - bound


def test_everything_but_zeros_is_slower_than_zero() -> None:
    assert Histogram(zero=3, counts={5: 2}).slower_than(0, sure=True) == 2


@given(st.dictionaries(st.integers(-200, 400), st.integers(1, 9), max_size=30), st.integers(0, 4))
def test_wider_buckets_hold_the_same_observations(counts: dict[int, int], scale: int) -> None:
    fine = Histogram(zero=2, counts=counts)
    coarse = fine.at_scale(scale)
    assert coarse.total() == fine.total()
    for bucket in range(-15, 25):
        bound_ms = coarse.base ** (bucket + 1)
        assert coarse.above(bucket) == fine.slower_than(bound_ms, sure=True)


def test_histograms_add_up_at_the_coarser_scale() -> None:
    both = Histogram(scale=3, counts={4: 1}).plus(Histogram(scale=4, counts={8: 2, 9: 1}))
    assert both == Histogram(scale=3, counts={4: 4})


def test_no_histogram_gets_finer_buckets() -> None:
    with pytest.raises(ValueError, match="scale"):
        Histogram(scale=3, zero=1).at_scale(4)


def test_an_empty_histogram_has_any_scale() -> None:
    seen = Histogram(scale=3, counts={5: 2})
    assert Histogram().plus(seen) == seen == seen.plus(Histogram())


@pytest.mark.parametrize(
    "wrong", [{"scale": 999}, {"scale": -10}, {"counts": {99_999_999: 1}}, {"counts": {5: -1}}]
)
def test_what_can_be_no_histogram_of_latencies_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Histogram.model_validate(wrong)


def test_more_failures_than_requests_are_refused() -> None:
    with pytest.raises(ValidationError, match="3 failures of 2 requests"):
        VersionCounts(requests=2, failures=3)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"failures_by_class": {"5xx": 2}}, "server_error"),
        ({"failures_by_class": {"timeout": 9}}, "9 failures of 5 requests"),
        ({"failures": 3, "failures_by_class": {"timeout": 2}}, "only 2 have a class"),
    ],
)
def test_failures_that_their_classes_do_not_explain_are_refused(
    wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        VersionCounts.model_validate({"requests": 5, **wrong})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"versions": {"v2": VersionCounts(requests=10**13)}}, "requests of v2 are more than"),
        (
            {
                "versions": {
                    "v2": VersionCounts(requests=10**400, latency_ms=Histogram(zero=10**400))
                }
            },
            "more than",
        ),
        ({"split": {"v1": math.nan}}, "split.v1"),
        ({"split": {"v1": -95.0, "v2": 195.0}}, "split.v1"),
    ],
)
def test_a_window_that_cannot_have_been_is_refused(wrong: dict[str, Any], words: str) -> None:
    fields = {"id": 1, "start": NOON, "end": NOON + timedelta(seconds=5), "split": {}}
    with pytest.raises(ValidationError, match=words):
        Window.model_validate({**fields, "versions": {}, **wrong})


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValidationError, match="not after its start"):
        Window(id=1, start=NOON, end=NOON - timedelta(seconds=1), split={}, versions={})


def test_a_window_goes_through_json_unchanged() -> None:
    counts = VersionCounts(requests=3, latency_ms=Histogram(counts={-5: 1, 70: 2}))
    window = Window(
        id=1,
        start=NOON,
        end=NOON + timedelta(seconds=5),
        split={"v1": 95.0, "v2": 5.0},
        versions={"v2": counts},
    )
    assert Window.model_validate_json(window.model_dump_json()) == window


def test_counts_of_two_windows_add_up_by_class() -> None:
    one = VersionCounts(requests=5, failures=1, failures_by_class={"timeout": 1})
    two = VersionCounts(requests=7, failures=2, failures_by_class={"timeout": 1, "connection": 1})
    both = one.plus(two)
    assert (both.requests, both.failures) == (12, 3)
    assert both.failures_by_class == {"timeout": 2, "connection": 1}


def test_a_version_without_requests_in_a_window_has_empty_counts() -> None:
    window = Window(id=1, start=NOON, end=NOON + timedelta(seconds=5), split={}, versions={})
    assert window.of("v2") == VersionCounts()
