from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from weir.arriving import HANDFUL, Misfit, misfit, misfit_in
from weir.endpoint import Split
from weir.window import VersionCounts, Window

QUARTER = Split.of({"v1": 75, "v2": 25})
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def share_trouble(split: Split, *counted: Mapping[str, int]) -> str:
    """What a person is told of a window; empty when its requests fit ``split``."""
    return str(misfit(split, *counted) or "")


@pytest.mark.parametrize(
    ("requests", "sentence"),
    [
        ({}, ""),
        ({"v1": 0, "v2": 0}, ""),
        ({"v1": 1}, ""),
        ({"v1": 3_750, "v2": 1_250}, ""),
        ({"v1": 3_800, "v2": 1_200}, ""),
        ({"v1": 4_410, "v2": 590}, "v2 was to take 25 % and took 11.8 % of 5,000 requests"),
        ({"v1": 5_000}, "v2 was to take 25 % and took 0 % of 5,000 requests"),
        ({"v1": 2_500, "v2": 2_500}, "v2 was to take 25 % and took 50 % of 5,000 requests"),
        ({"v1": 120, "v2": 40, "v3": 40}, "v3 was to take none of 200 requests and took 40"),
        ({"v1": 3_712, "v2": 1_238, "v3": 50}, ""),
    ],
)
def test_requests_that_do_not_fit_are_said_in_one_sentence(
    requests: dict[str, int], sentence: str
) -> None:
    assert share_trouble(QUARTER, requests) == sentence


@pytest.mark.parametrize("share", [1, 5, 20, 25, 50, 75, 99])
def test_the_right_share_is_never_complained_of(share: float) -> None:
    chance = np.random.default_rng(int(share))
    split = Split.of({"v1": 100 - share, "v2": share})
    for total in (1, 2, 10, 100, 1_000, 10_000, 1_000_000):
        for taken in chance.binomial(total, share / 100, size=500):
            assert share_trouble(split, {"v1": total - int(taken), "v2": int(taken)}) == ""


def test_six_versions_at_their_shares_are_never_complained_of() -> None:
    chance = np.random.default_rng(6)
    shares = {"v1": 50.0, "v2": 20.0, "v3": 15.0, "v4": 10.0, "v5": 4.0, "v6": 1.0}
    for total in (10, 500, 50_000):
        for taken in chance.multinomial(total, [share / 100 for share in shares.values()], 500):
            assert (
                share_trouble(Split.of(shares), dict(zip(shares, map(int, taken), strict=True)))
                == ""
            )


def test_a_share_within_the_slack_is_put_up_with_however_many_requests_tell_of_it() -> None:
    assert share_trouble(QUARTER, {"v1": 74_200_000, "v2": 25_800_000}) == ""
    assert share_trouble(QUARTER, {"v1": 73_800_000, "v2": 26_200_000}) != ""


@pytest.mark.parametrize("share", [40, 45, 50])
def test_a_double_share_is_found_within_200_requests(share: int) -> None:
    chance = np.random.default_rng(share)
    split = Split.of({"v1": 100 - share, "v2": share})
    for taken in chance.binomial(200, 2 * share / 100, size=200):
        assert misfit(split, {"v1": 200 - int(taken), "v2": int(taken)}) is not None


def test_how_many_requests_tell_of_a_double_share_of_exactly_that() -> None:
    for share, requests in ((1, None), (5, 2_000), (10, 700), (25, 180), (50, 40)):
        split = Split.of({"v1": 100 - share, "v2": share})
        if requests is None:
            assert misfit(split, {"v1": 980_000, "v2": 20_000}) is None
            continue
        doubled = requests * 2 * share // 100
        assert misfit(split, {"v1": requests - doubled, "v2": doubled}) is not None
        few = requests * share // 100
        assert misfit(split, {"v1": requests // 2 - few, "v2": few}) is None


@pytest.mark.parametrize(
    ("share", "requests"), [(1, 4_600), (5, 900), (10, 250), (25, 90), (50, 40)]
)
def test_a_version_that_gets_nothing_is_found(share: float, requests: int) -> None:
    split = Split.of({"v1": 100 - share, "v2": share})
    found = misfit(split, {"v1": requests})
    assert found is not None
    assert (found.version, found.took) == ("v2", 0)
    assert misfit(split, {"v1": requests // 2}) is None


def test_a_handful_of_stragglers_is_put_up_with() -> None:
    everything = Split.everything_to("v2")
    assert share_trouble(everything, {"v1": HANDFUL}) == ""
    assert share_trouble(everything, {"v1": HANDFUL + 1}) != ""
    assert share_trouble(everything, {"v1": HANDFUL, "v2": 1}) == ""
    assert share_trouble(Split.everything_to("v1"), {"v1": 1, "v2": HANDFUL}) == ""


def test_requests_that_are_still_answered_are_no_missing_ones() -> None:
    late = {"v1": 750, "v2": 20}
    assert share_trouble(QUARTER, late) != ""
    assert share_trouble(QUARTER, late, {"v2": 230}) == ""
    assert share_trouble(QUARTER, late, {"v2": 20}) != ""
    assert share_trouble(QUARTER, {"v1": 500, "v2": 500}, {"v1": 5, "v2": 5}) != ""


def test_the_version_that_is_farthest_off_for_its_share_is_named() -> None:
    split = Split.of({"v1": 60, "v2": 30, "v3": 10})
    found = misfit(split, {"v1": 6_000, "v2": 2_000, "v3": 2_000})
    assert found is not None
    assert found.version == "v3"


def test_figures_alone_are_nothing_new() -> None:
    told = Misfit("v2", 25, 590, 5_000)
    assert told.is_like(Misfit("v2", 25, 600, 5_010))
    assert not told.is_like(None)
    assert not told.is_like(Misfit("v2", 25, 2_500, 5_000))
    assert not told.is_like(Misfit("v2", 50, 590, 5_000))
    assert not told.is_like(Misfit("v3", 25, 590, 5_000))


def test_a_window_is_held_against_its_own_split() -> None:
    window = Window(
        id=1,
        start=NOON,
        end=NOON + timedelta(seconds=5),
        split={"v1": 75, "v2": 25},
        versions={
            "v1": VersionCounts(requests=750),
            "v2": VersionCounts(requests=20, in_flight=30),
        },
    )
    assert str(misfit_in(window)) == "v2 was to take 25 % and took 2.6 % of 770 requests"
    assert misfit_in(window.model_copy(update={"split": {"v1": 97, "v2": 3}})) is None
    assert misfit_in(window.model_copy(update={"split": {}})) is None
    assert misfit_in(None) is None
