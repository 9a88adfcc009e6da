"""Names, routes, pods, rendering: what manifests say, without any server."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import endpoint, version
from weir.endpoint import HUNDREDTHS, Endpoint, Split
from weir.kubernetes import names
from weir.kubernetes.differences import difference
from weir.kubernetes.objects import condition_said
from weir.kubernetes.pod import cores, megabytes, pod_template
from weir.kubernetes.rendering import manifests, rendered
from weir.kubernetes.route_manifests import refusals, route, split_of
from weir.kubernetes.settings import ClusterSettings, Toleration
from weir.serving import grace_seconds
from weir.spec.inference import Inference

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
NAMES = st.from_regex(r"[ab1]([ab1-]{0,61}[ab1])?", fullmatch=True)
PLAIN = ClusterSettings()


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_two_versions_share_a_name(a: str, b: str, c: str, d: str) -> None:
    one, other = names.of_version(a, b), names.of_version(c, d)
    assert LABEL.fullmatch(one)
    assert len(one) <= 63 - len("-12345")
    assert (one == other) == ((a, b) == (c, d))


@given(NAMES, NAMES)
def test_a_routes_name_leaves_room_for_the_class_and_is_no_others(a: str, b: str) -> None:
    one, other = names.of_route(a), names.of_route(b)
    assert LABEL.fullmatch(one)
    assert len(f"{one}-approuting-istio") <= 63
    assert (one == other) == (a == b)


@given(NAMES, NAMES)
def test_a_digest_never_looks_like_anothers_plain_name(a: str, b: str) -> None:
    name = names.of_version(a, b)
    assert name == f"{a}--{b}" or "---" in name


def two(first: int) -> Endpoint:
    built = endpoint("fraud").control("v1").treatment("v2").build()
    return built.with_split(Split(hundredths={"v1": first, "v2": HUNDREDTHS - first}))


@given(st.integers(0, HUNDREDTHS))
def test_the_split_is_read_back_from_the_route(first: int) -> None:
    built = two(first)
    assert split_of("fraud", route(built, PLAIN)) == built.split


@given(st.lists(st.integers(0, 1_000_000), min_size=2, max_size=2).filter(any))
def test_foreign_weights_are_read_as_the_nearest_shares(weights: list[int]) -> None:
    made = route(two(5000), PLAIN)
    for backend, weight in zip(made["spec"]["rules"][-1]["backendRefs"], weights, strict=True):
        backend["weight"] = weight
    found = split_of("fraud", made)
    assert found is not None
    exact = 100 * weights[0] / sum(weights)
    assert abs(found.percentile("v1") - exact) <= 0.011


def test_a_route_to_a_service_that_is_not_weirs_has_no_split() -> None:
    made = route(two(5000), PLAIN)
    made["spec"]["rules"][-1]["backendRefs"][0]["name"] = "other"
    assert split_of("fraud", made) is None


def test_another_gateway_of_the_same_name_does_not_answer_for_ours() -> None:
    wanted = {"name": "shared", "namespace": "here"}
    good = [{"type": kind, "status": "True"} for kind in ("Accepted", "ResolvedRefs")]
    reference = {"name": "shared", "namespace": "there"}
    parents = [{"parentRef": reference, "conditions": good}]
    made: dict[str, Any] = {"metadata": {"generation": 1, "namespace": "x"}}
    assert refusals({**made, "status": {"parents": parents}}, wanted) == (False, "")
    reference["namespace"] = "here"
    assert refusals({**made, "status": {"parents": parents}}, wanted) == (True, "")


def test_quantities_are_rounded_up() -> None:
    assert [cores(0.1), cores(2), cores(0.0001), cores(1.5)] == ["100m", "2", "1m", "1500m"]
    assert [megabytes(0.5), megabytes(2), megabytes(0.0001)] == ["500M", "2000M", "1M"]


def test_a_pod_may_do_nothing_and_tolerates_what_the_settings_say() -> None:
    settings = ClusterSettings(tolerations=(Toleration("a"), Toleration("b", "c", "NoSchedule")))
    spec = pod_template("fraud", version("v1"), settings, "d")["spec"]
    assert spec["tolerations"] == [
        {"key": "a", "operator": "Exists"},
        {"key": "b", "operator": "Equal", "value": "c", "effect": "NoSchedule"},
    ]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize(
    "inference",
    [Inference(entry_script="s.py"), Inference(command=("serve",)), Inference(image="r/x:1")],
    ids=["entry script", "command", "image"],
)
@pytest.mark.parametrize(
    ("wait_ms", "scoring_ms", "drained"),
    [(500, 20_000, 10 + 20.5 + 5), (30_000, 60_000, 10 + 90 + 5), (1, 86_400_000, 10 + 120 + 5)],
)
def test_a_server_is_told_to_end_when_all_that_the_guard_let_in_is_answered(
    inference: Inference, wait_ms: int, scoring_ms: int, drained: float
) -> None:
    plan = {
        "max_request_wait_time": wait_ms,
        "scoring_timeout_ms": scoring_ms,
        "replica_max_concurrent_requests": 5,
    }
    served = version("v1", **plan).model_copy(update={"inference": inference})
    spec = pod_template("fraud", served, PLAIN, "d")["spec"]
    (model,) = spec["containers"]
    drain = model["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert drain == math.ceil(drained)
    assert spec["terminationGracePeriodSeconds"] >= drain + grace_seconds(served)


def test_a_gpu_version_has_the_gpu_settings_and_others_have_not() -> None:
    settings = ClusterSettings(gpu_node_selector={"gpu": "yes"})
    with_gpu = pod_template("fraud", version("v1", gpu_cores=2), settings, "d")["spec"]
    without = pod_template("fraud", version("v1"), settings, "d")["spec"]
    assert with_gpu["nodeSelector"] == {"gpu": "yes"}
    assert with_gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "nodeSelector" not in without
    assert "tolerations" not in without


def test_rendering_is_deterministic_parses_and_names_its_namespace_everywhere() -> None:
    settings = ClusterSettings(namespace="shop", create_namespace=True)
    text = rendered("fraud", version("v1"), settings)
    assert text == rendered("fraud", version("v1"), settings)
    documents = [one for one in yaml.safe_load_all(text) if one]
    assert documents == list(manifests("fraud", version("v1"), settings))
    for one in documents:
        place = one["metadata"]["name" if one["kind"] == "Namespace" else "namespace"]
        assert place == "shop"
    assert "Secret" not in {one["kind"] for one in documents}


def test_a_difference_names_the_field_and_hides_what_is_secret() -> None:
    old = {"kind": "Deployment", "metadata": {"name": "a", "uid": "1"}, "spec": {"replicas": 2}}
    new = {"kind": "Deployment", "metadata": {"name": "a", "uid": "2"}, "spec": {"replicas": 3}}
    assert difference(old, new) == ("~ Deployment a: spec.replicas: 2 -> 3",)
    assert difference(None, new) == ("+ Deployment a",)
    assert difference(new, new) == ()
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "aGlkZGVu"}}
    changed = {**secret, "data": {"k": "b3RoZXI="}}
    assert difference(secret, changed) == ("~ Secret s: data.k",)


def deployed(**variables: str) -> dict[str, Any]:
    env = [{"name": name, "value": value} for name, value in variables.items()]
    containers = [{"name": "model", "image": "i", "env": env}]
    spec = {"template": {"spec": {"containers": containers}}}
    return {"kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}


def test_a_difference_shows_no_value_of_an_environment_variable() -> None:
    old = deployed(DB_PASSWORD="old-secret", GONE="x-secret", SAME="s")
    new = deployed(DB_PASSWORD="new-secret", SAME="s", NEW="y-secret")
    place = "~ Deployment a: spec.template.spec.containers[model].env"
    assert difference(old, new) == (
        f"{place}[DB_PASSWORD]: changed",
        f"{place}[GONE]: removed",
        f"{place}[NEW]: added",
    )
    assert difference(deployed(), new)[0] == f"{place}[DB_PASSWORD]: added"
    longer = deployed(DB_PASSWORD="new-secret")
    longer["spec"]["template"]["spec"]["containers"].insert(0, {"name": "b", "env": [{"x": "z"}]})
    (line,) = difference(old, longer)
    assert "secret" not in line
    assert "DB_PASSWORD" not in line


def test_what_a_controller_objects_to_is_cut_and_steers_no_terminal() -> None:
    bad = {
        "type": "Accepted",
        "status": "False",
        "reason": "No\x1b[2J",
        "message": "a\x1b]0;title\x07\n" + "x" * 1000,
    }
    found = {
        "metadata": {"namespace": "n"},
        "status": {"parents": [{"parentRef": {"name": "g"}, "conditions": [bad]}]},
    }
    is_taken, words = refusals(found, {"name": "g"})
    assert not is_taken
    assert words.startswith("Accepted is False: No?[2J, a?]0;title?")
    assert len(words) <= 300
    told = condition_said({**bad, "reason": "No"})
    assert told.startswith("Accepted False (No) a?]0;title?")
    assert len(told) <= 330
