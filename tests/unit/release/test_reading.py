from __future__ import annotations

import re
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from weir.endpoint import Name
from weir.release.reading import version_name

NAME = TypeAdapter(Name)


def test_a_version_is_called_after_its_model() -> None:
    assert version_name("fraud", "2") == "fraud-2"
    assert re.fullmatch(r"fraud-1-0-[0-9a-f]{6}", version_name("fraud", "1.0"))


def test_versions_that_differ_in_what_a_name_cannot_hold_get_different_names() -> None:
    long = "x" * 80
    versions = ("1.0", "1-0", "1_0", "1+0", "v1", "V1", "1", "1.", "-1", long, long + "y")
    names = {version: version_name("fraud", version) for version in versions}
    assert [pair for pair in combinations(versions, 2) if len({names[v] for v in pair}) == 1] == []


@given(st.text(max_size=90), st.text(max_size=90))
def test_every_name_is_valid(model: str, version: str) -> None:
    assert NAME.validate_python(version_name(model, version))


@given(st.from_regex(r"[a-z0-9-]{50,60}", fullmatch=True), st.from_regex(r"[0-9-]{1,9}"))
def test_every_cut_name_is_valid(model: str, version: str) -> None:
    assert NAME.validate_python(version_name(model, version))
