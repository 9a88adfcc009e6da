"""What a container sees of a release file, by the kubelet's own rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import version
from weir.kubernetes.expansion import verbatim
from weir.kubernetes.pod import GUARD, MODEL, pod_template
from weir.kubernetes.settings import ClusterSettings
from weir.spec.inference import Inference

TEXTS = st.text(st.sampled_from("$$$$(())AB \n\\{}é🚀"), max_size=30) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
)
SET = {"A": "one", "B": "$(A)", "AB": "", "": "nothing"}


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Expand of Kubernetes' third_party/forked/golang/expansion, byte by byte as it is there.

    Of a sign that begins nothing it takes the next byte for a character: until 2025 "$é" came out
    as other text.
    """
    source, found, checkpoint, cursor = text.encode(), b"", 0, 0
    while cursor < len(source):
        if source[cursor] == ord("$") and cursor + 1 < len(source):
            found += source[checkpoint:cursor]
            read, is_variable, advance = _read(source[cursor + 1 :])
            if is_variable:
                name = read.decode()
                found += variables.get(name, f"$({name})").encode()
            else:
                found += read
            cursor += advance
            checkpoint = cursor + 1
        cursor += 1
    return (found + source[checkpoint:]).decode(errors="replace")


def _read(rest: bytes) -> tuple[bytes, bool, int]:
    if rest[:1] == b"$":
        return b"$", False, 1
    if rest[:1] == b"(":
        end = rest.find(b")", 1)
        return (rest[1:end], True, end + 1) if end > 0 else (b"$(", False, 1)
    return b"$" + chr(rest[0]).encode(), False, 1


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("$(A)-1", "one-1"),
        ("$$(A)_$(A)", "$(A)_one"),
        ("$(NO)", "$(NO)"),
        ("$$$$$$$(A)", "$$$one"),
        ("$5 ${A} $A $?", "$5 ${A} $A $?"),
        ("$$5", "$5"),
        ("$(B)", "$(A)"),
        ("$(A_$(", "$(A_$("),
        ("$(foo$$var)", "$(foo$$var)"),
        ("end$", "end$"),
        ("$é", "$\u00c3\ufffd"),
    ],
)
def test_the_kubelets_rules_are_those_of_its_own_tests(text: str, seen: str) -> None:
    assert expanded(text, SET) == seen


@given(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_a_text_is_seen_as_it_is_whatever_variables_there_are(
    text: str, more: dict[str, str]
) -> None:
    assert expanded(verbatim(text), SET | more) == text


@given(st.lists(TEXTS, min_size=1, max_size=4), st.dictionaries(st.sampled_from("ABC"), TEXTS))
def test_a_container_sees_what_the_release_file_says(
    command: list[str], variables: dict[str, str]
) -> None:
    served = version("v1").model_copy(
        update={"inference": Inference(command=command, environment_variables=variables)}
    )
    container = _containers(served)[MODEL]
    seen: dict[str, str] = {}
    for variable in container["env"]:
        seen[variable["name"]] = expanded(variable["value"], seen)
    assert {name: seen[name] for name in variables} == variables
    assert [expanded(argument, seen) for argument in container["command"]] == command


def test_the_guard_is_still_told_its_pods_name() -> None:
    (attributes,) = [
        one["value"] for one in _containers(version("v1"))[GUARD]["env"] if "value" in one
    ]
    assert expanded(attributes, {"POD_NAME": "v1-0"}) == "service.instance.id=v1-0"


def _containers(served: Any) -> dict[str, Any]:
    spec = pod_template("fraud", served, ClusterSettings(), "d")["spec"]
    return {one["name"]: one for one in (*spec["initContainers"], *spec["containers"])}
