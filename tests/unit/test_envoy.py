"""Rendering of Envoy's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import endpoint, version
from weir import envoy
from weir.endpoint import Endpoint, Split
from weir.envoy.clusters import choices
from weir.envoy.routes import AUTH_FILTER, Wait
from weir.ports import Keys
from weir.spec.inference import Inference

KEYS = Keys(primary="key-one", secondary="key-two")
FOLDER = Path("/home/someone/gateway")


def host(built: Endpoint) -> dict[str, Any]:
    return dict(envoy.front_routes(built, KEYS)[0]["virtual_hosts"][0])


def inner(name: str = "v1", **deployment: object) -> dict[str, Any]:
    return envoy.replica_listener(version(name, **deployment))


def inner_filters(listener: dict[str, Any]) -> list[dict[str, Any]]:
    return [f["typed_config"] for f in listener["filter_chains"][0]["filters"]]


@given(st.lists(st.integers(0, 10_000), min_size=0, max_size=5))
def test_weights_sum_to_10000_and_read_back_as_the_split(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 10_000]
    names = [f"v{number}" for number in range(len(edges) - 1)]
    shares = {n: edges[i + 1] - edges[i] for i, n in enumerate(names)}
    built = Endpoint(
        name="fraud", versions=tuple(map(version, names)), split=Split(hundredths=shares)
    )
    routes = envoy.front_routes(built, KEYS)
    weighted = routes[0]["virtual_hosts"][0]["routes"][-1]["route"]["weighted_clusters"]
    assert sum(cluster["weight"] for cluster in weighted["clusters"]) == 10_000
    assert envoy.split_of(envoy.parse(envoy.render(routes))) == built.split


def test_an_endpoint_without_a_split_answers_503() -> None:
    routes = envoy.front_routes(endpoint("fraud").build(), KEYS)
    assert routes[0]["virtual_hosts"][0]["routes"][-1]["direct_response"]["status"] == 503
    assert envoy.split_of(routes) is None


def test_forced_versions_come_before_the_weights_and_unknown_ones_are_not_found() -> None:
    routes = host(endpoint("fraud").control("v1").treatment("v2").build())["routes"]
    assert [r.get("route", {}).get("cluster") for r in routes] == ["v1", "v2", None, None]
    assert routes[2]["direct_response"]["status"] == 404
    assert "weighted_clusters" in routes[3]["route"]


def test_both_keys_are_accepted_at_every_route() -> None:
    auth = host(endpoint("fraud").control("v1").build())["typed_per_filter_config"][AUTH_FILTER]
    assert {
        (c["client"], c["key"].lower().removeprefix("bearer ")) for c in auth["credentials"]
    } == {
        ("primary", "key-one"),
        ("secondary", "key-two"),
    }


def test_keys_are_asked_for_unless_the_endpoint_says_otherwise() -> None:
    built = endpoint("fraud").control("v1").without_authentication().build()
    assert host(built)["typed_per_filter_config"][AUTH_FILTER]["disabled"] is True
    listener = envoy.front_listener("fraud", 8080, FOLDER)
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["http_filters"][0]["name"] == AUTH_FILTER
    assert "credentials" not in manager["http_filters"][0]["typed_config"], "fails closed"


def test_keys_are_replaced_without_touching_the_split() -> None:
    built = endpoint("fraud").control("v1").treatment("v2", 7).build()
    new = Keys(primary="key-three", secondary="key-two")
    changed = envoy.with_keys(envoy.front_routes(built, KEYS), new)
    assert changed == envoy.front_routes(built, new)


def test_keys_are_not_added_where_authentication_is_off() -> None:
    built = endpoint("fraud").control("v1").without_authentication().build()
    routes = envoy.front_routes(built, KEYS)
    assert envoy.with_keys(routes, Keys(primary="a", secondary="b")) == routes


def test_requests_in_flight_are_those_that_are_scored_and_those_that_wait() -> None:
    statistics = {
        "cluster.v1.upstream_rq_active": 2,
        "cluster.v1.circuit_breakers.default.remaining_retries": 1_000_000,
        "cluster.v1.replicas.upstream_rq_active": 2,
        "cluster.v2.upstream_rq_active": 0,
        "cluster.v2.circuit_breakers.default.remaining_retries": 999_993,
        "cluster.v2.replicas.circuit_breakers.default.remaining_retries": 999_000,
        "cluster.v3.upstream_rq_active": 0,
        "cluster.v3.circuit_breakers.default.remaining_retries": 1_000_000,
    }
    assert envoy.in_flight(statistics) == {"v1": 2, "v2": 7, "v3": 0}


@pytest.mark.parametrize("replicas", [1, 2, 3, 8, 40])
def test_the_only_idle_replica_is_rarely_missed_and_a_dead_one_not_always_drawn(
    replicas: int,
) -> None:
    missed = (1 - 1 / max(2, replicas)) ** choices(replicas)
    assert 0.005 < missed <= 0.01


@pytest.mark.parametrize("word", ["metrics", "labels"])
def test_what_a_version_reports_is_remembered_for_the_log_and_taken_from_the_answer(
    word: str,
) -> None:
    manager = envoy.front_listener("fraud", 1, FOLDER)["filter_chains"][0]["filters"][0]
    filters = {one["name"]: one for one in manager["typed_config"]["http_filters"]}
    memory = filters["envoy.filters.http.header_to_metadata"]["typed_config"]
    (rule,) = (r for r in memory["response_rules"] if r["header"] == f"x-weir-{word}")
    assert rule["remove"] is True
    log = manager["typed_config"]["access_log"][0]["typed_config"]["log_format"]["json_format"]
    assert log[word] == f"%DYNAMIC_METADATA(weir:{word}):257%"
    removed = inner_filters(inner())[1]["route_config"]["virtual_hosts"][0]
    assert f"x-weir-{word}" not in removed["response_headers_to_remove"]


def test_keys_are_only_in_the_routes() -> None:
    built = endpoint("fraud").control("v1").build()
    listeners = [envoy.front_listener("fraud", 1, FOLDER), inner()]
    text = envoy.render([*listeners, *envoy.clusters(built.versions, FOLDER)])
    assert "key-one" not in text
    assert "key-two" not in text


def test_an_inner_listener_admits_replicas_times_their_concurrency() -> None:
    limit = inner_filters(inner(num_replicas=3, replica_max_concurrent_requests=4))[0]
    assert limit["max_connections"] == 12


def test_the_scoring_timeout_is_the_inner_routes_and_the_front_has_none() -> None:
    manager = inner_filters(inner(scoring_timeout_ms=1500))[1]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    assert route["timeout"] == "1.5s"
    front = host(endpoint("fraud").control("v1").build())["routes"][-1]["route"]
    assert front["timeout"] == "0s"


@pytest.mark.parametrize("retry_on_reset", [True, False])
def test_scoring_is_repeated_after_a_reset_only_where_that_does_no_harm(
    retry_on_reset: bool,
) -> None:
    manager = inner_filters(inner(retry_on_reset=retry_on_reset))[1]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    retry_on = route["retry_policy"]["retry_on"].split(",")
    assert ("reset" in retry_on) is retry_on_reset
    assert "connect-failure" in retry_on


def test_callers_have_one_path_whatever_the_server_has() -> None:
    other = version("v1").model_copy(
        update={"inference": Inference(command=("x",), scoring_path="/v2/predict")}
    )
    manager = inner_filters(envoy.replica_listener(other))[1]
    scoring, everything = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert scoring["match"] == {"path": "/score"}
    assert scoring["route"]["prefix_rewrite"] == "/v2/predict"
    assert everything["match"] == {"prefix": "/"}


@given(st.integers(20, 600_000))
def test_pauses_sum_to_the_wait(wait_ms: int) -> None:
    wait = Wait.of(wait_ms)
    expected_ms = wait.attempts * ((wait.pause_ms - 1) / 2 + 1.5)
    assert expected_ms == pytest.approx(wait_ms, rel=0.12)
    assert 4 <= wait.pause_ms <= 50


def test_a_split_waits_as_long_as_its_most_patient_version() -> None:
    built = endpoint("fraud").control("v1", max_request_wait_time=100)
    routes = host(built.treatment("v2", 50, max_request_wait_time=2000).build())["routes"]
    retries = [r["route"]["retry_policy"]["num_retries"] for r in routes if "route" in r]
    assert retries == [Wait.of(n).attempts for n in (100, 2000, 2000)]


def test_replicas_are_healthy_or_draining() -> None:
    resource = envoy.endpoints(
        "v1", [("127.0.0.1:40001", "HEALTHY"), ("127.0.0.1:40002", "DRAINING")]
    )[0]
    found = resource["endpoints"][0]["lb_endpoints"]
    assert [h["health_status"] for h in found] == ["HEALTHY", "DRAINING"]
    assert found[0]["endpoint"]["address"]["socket_address"] == {
        "address": "127.0.0.1",
        "port_value": 40001,
    }
    assert resource["cluster_name"] == "v1.replicas"


def test_a_version_without_replicas_has_no_hosts() -> None:
    assert envoy.endpoints("v1", [])[0]["endpoints"] == []


def test_the_same_resources_have_the_same_version_and_others_another() -> None:
    one, two = (envoy.render(envoy.endpoints("v1", [(a, "HEALTHY")])) for a in ("h:1", "h:2"))
    assert one == envoy.render(envoy.parse(one))
    assert envoy.version_info(one) == envoy.version_info(envoy.render(envoy.parse(one)))
    assert envoy.version_info(one) != envoy.version_info(two)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200))
def test_a_version_that_looks_like_a_number_stays_a_text(numbers: list[int]) -> None:
    for number in numbers:
        text = envoy.render([{"name": str(number)}])
        assert len(envoy.version_info(text)) == 16
        assert isinstance(envoy.parse(text), list)


@pytest.mark.parametrize("text", ["", "- 1", "resources: 1", "{", "version_info: a"])
def test_what_is_no_discovery_file_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="discovery file"):
        envoy.parse(text)


def test_a_broken_file_is_not_quoted_in_the_error() -> None:
    with pytest.raises(ValueError, match="discovery file") as raised:
        envoy.parse("key: [secret")
    assert "secret" not in "".join(map(str, (raised.value, raised.value.__cause__)))
    assert raised.value.__suppress_context__


def test_a_union_prefers_the_new_and_keeps_what_only_the_old_has() -> None:
    old = [{"name": "a", "v": 1}, {"name": "b", "v": 1}]
    assert envoy.union(old, [{"name": "a", "v": 2}]) == [
        {"name": "a", "v": 2},
        {"name": "b", "v": 1},
    ]


def test_the_port_is_read_back_from_the_listeners() -> None:
    listeners = [inner(), envoy.front_listener("fraud", 8123, FOLDER)]
    assert envoy.listener_port(envoy.parse(envoy.render(listeners))) == 8123
    assert envoy.listener_port([inner()]) is None


def test_nobody_else_may_share_the_port() -> None:
    listener = envoy.front_listener("fraud", 8123, FOLDER)
    assert listener["enable_reuse_port"] is False
    assert listener["address"]["socket_address"]["address"] == "127.0.0.1"


def test_the_admin_socket_is_private() -> None:
    text = envoy.bootstrap("fraud", FOLDER, Path("/run/admin.sock"))
    assert "path: /run/admin.sock\n      mode: 384\n" in text
