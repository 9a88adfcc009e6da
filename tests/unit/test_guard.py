"""Rendering of a guard's files and of the file that says whom it lets in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import version
from tests.fakes.issuer import AUDIENCE, ISSUER, Issuer
from weir import envoy
from weir.endpoint import Version
from weir.envoy import guard
from weir.envoy.guard import GuardSettings, guard_command, guard_files
from weir.envoy.guard_auth import SLOT, TokenRules, auth_file, public_keys
from weir.envoy.routes import Wait
from weir.ports import Keys

KEYS = Keys(primary="key-one", secondary="key-two")
SETTINGS = GuardSettings("fraud", "/fraud", "collector.weir:4318")


def rendered(built: Version, settings: GuardSettings = SETTINGS) -> dict[str, Any]:
    return {name: yaml.safe_load(text) for name, text in guard_files(built, settings).items()}


def listener(files: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in files["lds.yaml"]["resources"] if one["name"] == name)
    return dict(found)


def manager(files: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(listener(files, name)["filter_chains"][0]["filters"][-1]["typed_config"])


def named(value: Any, name: str) -> Iterator[Any]:
    """Every value of a field ``name``, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from named(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner, name)


def auth(text: str) -> dict[str, Any]:
    (resource,) = envoy.parse(text)
    assert resource["name"] == SLOT
    return dict(resource["typed_config"])


def test_the_same_version_has_the_same_files_and_every_one_parses() -> None:
    one, two = (guard_files(version("v1"), SETTINGS) for _ in range(2))
    assert one == two
    assert set(one) == {"bootstrap.yaml", "lds.yaml", "cds.yaml", "rds.yaml"}
    for name, text in one.items():
        assert yaml.safe_load(text)
        if name != "bootstrap.yaml":
            assert envoy.parse(text)
            assert envoy.version_info(text)


def test_another_limit_changes_listeners_alone() -> None:
    one = guard_files(version("v1"), SETTINGS)
    two = guard_files(version("v1", replica_max_concurrent_requests=7), SETTINGS)
    assert {name for name in one if one[name] != two[name]} == {"lds.yaml"}


def test_nothing_in_the_files_depends_on_who_may_call() -> None:
    text = "".join(guard_files(version("v1"), SETTINGS).values())
    assert "credentials" not in text
    assert "jwks" not in text
    assert SLOT in text


def test_every_dynamic_file_is_watched_at_the_root_of_its_mount() -> None:
    sources = list(named(rendered(version("v1")), "path_config_source"))
    watched = {source["path"]: source["watched_directory"]["path"] for source in sources}
    assert watched == {
        "/etc/weir/guard/lds.yaml": "/etc/weir/guard",
        "/etc/weir/guard/cds.yaml": "/etc/weir/guard",
        "/etc/weir/guard/rds.yaml": "/etc/weir/guard",
        "/etc/weir/auth/auth.yaml": "/etc/weir/auth",
    }


def test_a_guard_admits_what_one_replica_takes() -> None:
    files = rendered(version("v1", num_replicas=3, replica_max_concurrent_requests=4))
    admission = listener(files, "replicas.v1")["filter_chains"][0]["filters"][0]
    assert admission["typed_config"]["max_connections"] == 4


def test_a_request_waits_as_long_as_the_version_says() -> None:
    routes = rendered(version("v1", max_request_wait_time=2000))["rds.yaml"]["resources"][0]
    retries = {policy["num_retries"] for policy in named(routes, "retry_policy")}
    assert retries == {Wait.of(2000).attempts}


@pytest.mark.parametrize("retry_on_reset", [True, False])
def test_scoring_is_repeated_after_a_reset_only_where_that_does_no_harm(
    retry_on_reset: bool,
) -> None:
    files = rendered(version("v1", retry_on_reset=retry_on_reset))
    policies = list(named(manager(files, "replicas.v1"), "retry_policy"))
    assert [policy.get("retry_on", "") for policy in policies] == ["reset" * retry_on_reset]
    assert not list(named(policies, "retry_host_predicate")), "there is no other host"


def test_the_log_and_the_memory_are_the_gateways_own() -> None:
    files = rendered(version("v1"))
    gateway = envoy.front_listener("fraud", 1, Path("/x"))
    assert next(named(files["lds.yaml"], "log_format")) == next(named(gateway, "log_format"))
    theirs = next(named(gateway, "http_filters"))
    assert manager(files, "front")["http_filters"][1:] == theirs[1:]


def test_authentication_comes_before_everything_else_and_has_no_default() -> None:
    slot = manager(rendered(version("v1")), "front")["http_filters"][0]
    assert slot["name"] == SLOT
    assert "default_config" not in slot["config_discovery"], "fails closed"
    assert "apply_default_config_without_warming" not in slot["config_discovery"]


def test_probes_pass_neither_the_slot_nor_the_log_nor_the_limit() -> None:
    files = rendered(version("v1"))
    probe = manager(files, "weir.probe")
    assert [one["name"] for one in probe["http_filters"]] == ["envoy.filters.http.router"]
    assert "access_log" not in probe
    assert list(named(probe["route_config"], "cluster")) == ["weir.probe"]


def test_nobody_else_may_share_a_port() -> None:
    ports = {
        one["address"]["socket_address"]["port_value"]: one["enable_reuse_port"]
        for one in rendered(version("v1"))["lds.yaml"]["resources"]
        if "address" in one
    }
    assert ports == {guard.GUARD_PORT: False, guard.PROBE_PORT: False}


def test_without_a_collector_there_are_no_spans() -> None:
    files = rendered(version("v1"), GuardSettings("fraud"))
    assert "tracing" not in manager(files, "front")
    assert not [x for x in files["cds.yaml"]["resources"] if x["name"] == "weir.collector"]


def test_the_command_is_the_gateways_with_the_mounted_bootstrap() -> None:
    whole = envoy.command("envoy", Path("/etc/weir/guard/bootstrap.yaml"))
    assert ("envoy", *guard_command()) == whole


@pytest.mark.parametrize("prefix", ["", "fraud", "/fraud/", "//"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="path_prefix"):
        GuardSettings("fraud", prefix)


@pytest.mark.parametrize("collector", ["collector", ":4318", "collector:", "http://collector"])
def test_a_collector_is_a_host_and_a_port(collector: str) -> None:
    with pytest.raises(ValueError, match="collector"):
        GuardSettings("fraud", collector=collector)


def test_both_keys_are_accepted_in_every_case_of_the_scheme_and_are_not_passed_on() -> None:
    config = auth(auth_file(KEYS))
    assert config["@type"].endswith("ApiKeyAuth")
    assert {x["key"] for x in config["credentials"]} == {
        scheme + key for scheme in ("", "bearer ", "BEARER ") for key in ("key-one", "key-two")
    }
    assert config["forwarding"] == {"hide_credentials": True}
    assert auth_file(KEYS) == auth_file(Keys(primary="key-one", secondary="key-two"))


def test_a_token_has_to_expire_and_is_not_passed_on() -> None:
    config = auth(auth_file(TokenRules(ISSUER, (AUDIENCE,), Issuer().jwks())))
    assert config["@type"].endswith("JwtAuthentication")
    provider = config["providers"]["issuer"]
    assert (provider["require_expiration"], provider["forward"]) == (True, False)
    assert (provider["issuer"], provider["audiences"]) == (ISSUER, [AUDIENCE])
    assert config["rules"][0]["match"] == {"prefix": "/"}
    assert "from_params" not in provider


def test_without_authentication_the_slot_holds_a_filter_that_does_nothing() -> None:
    config = auth(auth_file(None))
    assert list(config) == ["@type"]
    assert config["@type"].endswith("RBAC")


def test_what_the_slot_may_hold_is_what_the_auth_file_can_say() -> None:
    slot = manager(rendered(version("v1")), "front")["http_filters"][0]
    rules = TokenRules(ISSUER, (AUDIENCE,), Issuer().jwks())
    kinds = [auth(auth_file(one))["@type"] for one in (KEYS, rules, None)]
    assert slot["config_discovery"]["type_urls"] == kinds


def test_only_public_keys_of_the_two_algorithms_are_used() -> None:
    rsa, ec = Issuer().key(), Issuer("ES256").key()
    jwks = {
        "keys": [
            {**rsa, "d": "private", "x5c": ["certificate"]},
            ec,
            {"kty": "oct", "k": "shared"},
            {**rsa, "alg": "RS512"},
            {**rsa, "use": "enc"},
            {**ec, "crv": "P-384"},
        ]
    }
    assert public_keys(json.dumps(jwks)) == [{**rsa, "alg": "RS256"}, {**ec, "alg": "ES256"}]


@pytest.mark.parametrize(
    ("issuer", "audiences", "jwks"),
    [
        ("", ("a",), Issuer().jwks()),
        ("i", (), Issuer().jwks()),
        ("i", ("",), Issuer().jwks()),
        ("i", ("a",), "secret {"),
        ("i", ("a",), "[]"),
        ("i", ("a",), '{"keys": [{"kty": "oct", "k": "secret"}]}'),
    ],
)
def test_rules_that_would_let_too_many_in_are_refused(
    issuer: str, audiences: tuple[str, ...], jwks: str
) -> None:
    with pytest.raises(ValueError, match=r"issuer|audiences|jwks") as raised:
        TokenRules(issuer, audiences, jwks)
    assert "secret" not in str(raised.value)
