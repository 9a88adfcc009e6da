from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers.traffic import Windows, ramp, steady


def few(seed: int) -> Windows:
    return steady(
        seed, treatment=0.2, control=0.1, share_percent=5, requests=20, windows=50, replicates=40
    )


def test_the_same_seed_gives_the_same_windows() -> None:
    assert np.array_equal(few(1).x1, few(1).x1)
    assert not np.array_equal(few(1).x1, few(2).x1)


def test_the_control_gets_the_rest_of_the_traffic() -> None:
    assert few(1).n1.shape == (40, 50)
    assert (few(1).n1 == 20).all()
    assert (few(1).n0 == 380).all()
    assert few(1).x1.sum() / few(1).n1.sum() == pytest.approx(0.2, abs=0.01)
    assert few(1).x0.sum() / few(1).n0.sum() == pytest.approx(0.1, abs=0.005)


def test_a_ramp_follows_its_shares_and_rates() -> None:
    seen = ramp(
        1,
        shares_percent=[5, 50],
        control=[0.01, 0.1],
        ratio=2,
        slack=0.01,
        requests=1_000,
        replicates=500,
    )
    assert seen.n1[0].tolist() == [50, 500]
    assert seen.n0[0].tolist() == [950, 500]
    ours, theirs = seen.x1.sum(axis=0) / seen.n1.sum(axis=0), seen.x0.sum(axis=0)
    assert ours == pytest.approx([0.03, 0.21], abs=0.005)
    assert theirs / seen.n0.sum(axis=0) == pytest.approx([0.01, 0.1], abs=0.005)


def test_a_rate_stays_a_rate_at_any_ratio() -> None:
    seen = ramp(1, shares_percent=[50], control=[0.5], ratio=50, requests=10, replicates=1)
    assert seen.x1.tolist() == [[5]]


def test_pooling_adds_neighbours_and_drops_an_incomplete_rest() -> None:
    counts = np.arange(1, 6)[None]
    assert Windows(counts, counts, counts, counts).pooled(2).x1.tolist() == [[3, 7]]


def test_windows_that_cannot_be_are_refused() -> None:
    one, two = np.array([[1]]), np.array([[2]])
    with pytest.raises(ValueError, match="failures lie between"):
        Windows(one, two, one, one)
    with pytest.raises(ValueError, match="one shape"):
        Windows(one, one, np.array([[1, 1]]), one)
