from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.builders import endpoint, version
from weir.endpoint import Endpoint, Split, assign
from weir.errors import PermanentError, UserError


def test_a_split_that_does_not_sum_to_100_is_refused() -> None:
    with pytest.raises(ValidationError, match="sum to 90"):
        Split.of({"v1": 80, "v2": 10})


def test_a_negative_percentile_is_refused() -> None:
    with pytest.raises(ValidationError, match="negative"):
        Split.of({"v1": 110, "v2": -10})


def test_a_percentile_finer_than_a_hundredth_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"finest step is 0.01"):
        Split.of({"v1": 99.995, "v2": 0.005})


def test_a_split_reads_as_people_say_it() -> None:
    assert str(Split.of({"v1": 95, "v2": 5})) == "v1 95 %, v2 5 %"


def test_a_split_survives_json() -> None:
    split = Split.of({"v1": 99.99, "v2": 0.01})
    assert Split.model_validate_json(split.model_dump_json()) == split


@given(st.integers(0, 10_000))
def test_the_default_takes_what_is_not_assigned(hundredths: int) -> None:
    split = assign("v1", {"v2": hundredths / 100}, ["v1", "v2"])
    assert sum(split.hundredths.values()) == 10_000
    assert split.hundredths["v2"] == hundredths


def test_percentiles_over_100_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 100"):
        assign("v1", {"v2": 60, "v3": 60}, ["v1", "v2", "v3"])


def test_a_percentile_for_an_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown versions: v9"):
        assign("v1", {"v9": 10}, ["v1", "v2"])


def test_a_seventh_version_is_refused_and_the_remedy_is_named() -> None:
    full = endpoint().control("v1")
    for number in range(2, 7):
        full.treatment(f"v{number}")
    with pytest.raises(UserError) as caught:
        full.build().with_version(version("v7"))
    assert caught.value.reason == "endpoint.full"
    assert caught.value.exit_status == 2
    assert "weir delete fraud --version" in caught.value.remedy


def test_a_sixth_version_can_be_replaced() -> None:
    full = endpoint().control("v1")
    for number in range(2, 7):
        full.treatment(f"v{number}")
    assert len(full.build().with_version(version("v6")).versions) == 6


def test_a_version_that_takes_traffic_cannot_be_removed() -> None:
    with pytest.raises(PermanentError) as caught:
        endpoint().control("v1").treatment("v2", 5).build().without_version("v2")
    assert caught.value.reason == "endpoint.version_takes_traffic"


def test_a_split_to_an_unknown_version_is_refused() -> None:
    with pytest.raises(ValidationError, match="unknown versions: v2"):
        endpoint().control("v1").build().with_split(Split.of({"v1": 50, "v2": 50}))


def test_the_new_control_is_the_default_as_well() -> None:
    promoted = endpoint().control("v1").treatment("v2", 50).build().with_control("v2")
    assert (promoted.control, promoted.default, promoted.treatments()) == ("v2", "v2", ("v1",))


def test_an_endpoint_survives_json() -> None:
    original = endpoint().control("v1").treatment("v2", 12.5).build()
    assert Endpoint.model_validate_json(original.model_dump_json()) == original
