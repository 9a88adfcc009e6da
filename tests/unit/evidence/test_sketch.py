"""What is remembered of past latencies."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from weir.evidence.sketch import MOST_BUCKETS, MOST_REQUESTS, Sketch
from weir.window import Histogram


def histogram(*latencies_ms: float) -> Histogram:
    counts: dict[int, int] = {}
    for latency_ms in latencies_ms:
        bucket = math.ceil(math.log2(latency_ms) * 16) - 1
        counts[bucket] = counts.get(bucket, 0) + 1
    return Histogram(counts=counts)


def test_a_quantile_is_the_upper_bound_of_its_bucket() -> None:
    held = Sketch().plus(histogram(*([10.0] * 90 + [70.0] * 10)))
    base = Histogram().base
    ninety, beyond = held.bounds_ms((0.9, 0.91))
    assert 10 <= ninety <= 10 * base
    assert 70 <= beyond <= 70 * base


def test_nothing_and_zeros_have_quantiles_of_0() -> None:
    assert Sketch().bounds_ms((0.5,)) == (0.0,)
    assert Sketch().plus(Histogram(zero=9, counts={5: 1})).bounds_ms((0.5, 0.99))[0] == 0.0


@given(st.lists(st.dictionaries(st.integers(-90, 200), st.integers(1, 50)), max_size=5))
def test_few_windows_are_remembered_to_the_last_request(windows: list[dict[int, int]]) -> None:
    held = Sketch()
    for counts in windows:
        held = held.plus(Histogram(counts=counts))
    wanted = sum(sum(counts.values()) for counts in windows)
    assert held.total == held.zero + sum(held.counts) == wanted


def test_many_requests_fade_and_the_newest_weigh_the_most() -> None:
    held = Sketch()
    for bucket in (53, 85):
        for _ in range(10):
            held = held.plus(Histogram(counts={bucket: 5_000}))
    assert held.total <= MOST_REQUESTS
    assert held.bounds_ms((0.5,))[0] > 35


def test_a_coarser_window_makes_the_memory_coarser_and_a_finer_one_does_not_refine_it() -> None:
    held = Sketch().plus(Histogram(scale=4, counts={8: 1, 9: 2}))
    assert held.plus(Histogram(scale=3, counts={4: 1})) == Sketch(3, 4, 0, 4, (4,))
    assert held.plus(Histogram(scale=6, counts={32: 1})).scale == 4


def test_many_buckets_become_few_and_a_quantile_stays_near() -> None:
    chance = random.Random(5)
    held, seen = Sketch(), []
    for _ in range(100):
        window = [100 * math.exp(chance.gauss(0, 1.5)) for _ in range(300)]
        held, seen = held.plus(histogram(*window)), [*seen, *window]
        assert len(held.counts) <= MOST_BUCKETS
    seen.sort()
    for quantile, bound_ms in zip((0.5, 0.9, 0.99), held.bounds_ms((0.5, 0.9, 0.99)), strict=True):
        true = seen[int(quantile * len(seen))]
        assert 0.8 * true <= bound_ms <= 1.5 * true


def test_a_tail_of_one_request_in_each_bucket_is_not_forgotten() -> None:
    held = Sketch().plus(Histogram(counts={0: 19_980} | dict.fromkeys(range(20, 40), 1)))
    faded = held.plus(Histogram(counts={0: 21}))
    assert faded.total == 10_010
    assert sum(faded.counts[10:]) == 10
