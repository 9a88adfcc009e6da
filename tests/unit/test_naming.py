from __future__ import annotations

import pytest

import blocks
from weir.errors import UserError
from weir.naming import require_platform_name


@pytest.mark.parametrize(
    "name",
    [
        "local",
        "kubernetes",
        "kubernetes:",
        "kubernetes:arn:aws:eks:eu:1:cluster/x",
        "weir-kubernetes-cluster/a:b",
    ],
)
def test_a_platform_may_be_called_so(name: str) -> None:
    require_platform_name(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kubernets", "there is no platform kubernets; did you mean kubernetes?"),
        ("Kubernetes:a/b", "there is no platform Kubernetes:a/b; did you mean kubernetes:a/b?"),
        ("locale", "there is no platform locale; did you mean local?"),
        ("azure", "there is no platform azure."),
        ("", "there is no platform without a name."),
    ],
)
def test_what_can_be_none_is_refused_without_asking_prefect(name: str, words: str) -> None:
    for refuse in (require_platform_name, blocks.load_platform):
        with pytest.raises(UserError) as raised:
            refuse(name)
        assert (raised.value.reason, raised.value.message) == ("platform.unknown", words)
