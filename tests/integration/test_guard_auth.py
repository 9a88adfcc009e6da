"""Whom a guard lets in, and how that changes while it runs: a real Envoy and the kubelet's swap."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import version
from tests.eventually import eventually
from tests.fakes.issuer import AUDIENCE, ISSUER, Issuer
from tests.gateway import Reply, call, load
from tests.guard import KEYS, Guard, OpenConnection
from weir.envoy.guard_auth import TokenRules, auth_file
from weir.ports import Keys

PLAN = {"replica_max_concurrent_requests": 50}
NEW = Keys(primary=KEYS.primary, secondary="new-secondary-key")
REJECTIONS = "extension_config_discovery.http_filter.weir.auth.update_rejected"
FAILURES = "extension_config_discovery.http_filter.weir.auth.update_failure"


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with Guard(tmp_path, version("v1", **PLAN)) as one:
        yield one


@pytest.fixture(scope="module")
def issuers() -> tuple[Issuer, Issuer]:
    return Issuer("RS256", "one"), Issuer("ES256", "two")


@pytest.fixture(scope="module")
def tokens(
    tmp_path_factory: pytest.TempPathFactory, issuers: tuple[Issuer, Issuer]
) -> Iterator[Guard]:
    """Asks for a token of either issuer's key."""
    with Guard(tmp_path_factory.mktemp("tokens"), version("v1", **PLAN), rules(*issuers)) as one:
        yield one


def rules(*issuers: Issuer) -> TokenRules:
    keys = ", ".join(one.jwks()[len('{"keys": [') : -2] for one in issuers)
    return TokenRules(ISSUER, (AUDIENCE, "api://other"), f'{{"keys": [{keys}]}}')


def test_the_old_key_is_refused_within_a_second_also_on_connections_that_are_open(
    guard: Guard,
) -> None:
    old, both = OpenConnection(guard.port), OpenConnection(guard.port)
    assert old.score(KEYS.secondary) == both.score() == 200
    swapped = time.monotonic()
    guard.allow(NEW)
    eventually(lambda: old.score(KEYS.secondary) == 401, 5, 0)
    assert time.monotonic() - swapped < 1
    assert both.score(KEYS.secondary) == 401, "on a connection that has had no refusal yet"
    assert both.score(NEW.secondary) == both.score(KEYS.primary) == 200
    assert old.score(NEW.secondary) == 200, "the connection is the same"


def test_keys_change_under_load_without_a_lost_request(guard: Guard) -> None:
    """Callers use the key that does not change, on new connections and on open ones."""
    open_statuses: list[int] = []
    over = threading.Event()

    def keep_calling() -> None:
        caller = OpenConnection(guard.port)
        while not over.is_set():
            open_statuses.append(caller.score())
        caller.close()

    keeper = threading.Thread(target=keep_calling)
    keeper.start()
    try:
        with load(lambda: call(guard.port, KEYS.primary), clients=2) as replies:
            for number in range(20):
                key = f"secondary-{number}"
                guard.allow(Keys(primary=KEYS.primary, secondary=key))
                caller = OpenConnection(guard.port)
                eventually(lambda key=key, caller=caller: caller.score(key) == 200, 5, 0.005)
                caller.close()
    finally:
        over.set()
        keeper.join()
    assert {reply.status for reply in replies} == {200}
    assert set(open_statuses) == {200}


def test_a_request_that_is_being_scored_outlives_the_change_of_its_key(guard: Guard) -> None:
    replies: list[Reply] = []
    caller = threading.Thread(
        target=lambda: replies.append(guard(key=KEYS.secondary, sleep_ms=800))
    )
    caller.start()
    eventually(lambda: guard.stat("cluster.v1.replicas.upstream_rq_active") == 1)
    guard.allow(NEW)
    eventually(lambda: guard(key=KEYS.secondary).status == 401)
    assert caller.is_alive()
    caller.join()
    assert [reply.status for reply in replies] == [200]


@pytest.mark.parametrize("text", ["{", "resources: 1", "resources: []", "", "version_info: a"])
def test_a_broken_file_leaves_the_last_good_one(guard: Guard, text: str) -> None:
    before = guard.stat(REJECTIONS) + guard.stat(FAILURES)
    guard.auth.put({"auth.yaml": text or "\n"})
    eventually(lambda: guard.stat(REJECTIONS) + guard.stat(FAILURES) > before)
    assert guard(key="wrong").status == 401
    assert guard().status == guard(key=KEYS.secondary).status == 200
    guard.allow(NEW)
    eventually(lambda: guard(key=NEW.secondary).status == 200)


@pytest.mark.parametrize(
    "text",
    [
        auth_file(KEYS).replace("ApiKeyAuth", "Unknown"),
        auth_file(None).replace("rbac.v3.RBAC", "buffer.v3.Buffer"),
        auth_file(KEYS).replace("weir.auth", "weir.other"),
        auth_file(KEYS).replace("secondary-key", "primary-key"),
    ],
    ids=["no such filter", "not a filter for this", "another slot", "same key"],
)
def test_a_file_that_says_what_it_may_not_leaves_the_last_good_one(guard: Guard, text: str) -> None:
    before = guard.stat(REJECTIONS) + guard.stat(FAILURES)
    guard.auth.put({"auth.yaml": text})
    eventually(lambda: guard.stat(REJECTIONS) + guard.stat(FAILURES) > before)
    assert [guard(key=key).status for key in (KEYS.primary, KEYS.secondary)] == [200, 200]
    assert guard(key=None).status == 401


def test_a_file_that_goes_away_leaves_the_last_good_one(guard: Guard) -> None:
    """And is followed again from the second swap on: the kubelet links a new file after its first
    rename, which is what Envoy sees."""
    guard.auth.put({"other.yaml": "{}"})
    guard.auth.put({"other.yaml": "{}"})
    assert guard().status == 200
    assert guard(key="wrong").status == 401
    guard.allow(KEYS)
    guard.allow(NEW)
    eventually(lambda: guard(key=NEW.secondary).status == 200)


def test_no_key_is_so_odd_that_the_file_would_be_refused(guard: Guard) -> None:
    odd = "a'b\"c: {d} #e %REQ(:METHOD)% 0123"
    for keys in (Keys("same-key", "same-key"), Keys(odd, "12345"), Keys("yes", "null")):
        guard.allow(keys)
        eventually(lambda keys=keys: guard(key=keys.primary).status == 200)
        assert guard(key=keys.secondary).status == 200
    assert guard.stat(REJECTIONS) + guard.stat(FAILURES) == 0
    assert not guard.stderr.read_text()


def test_without_the_file_at_its_start_nobody_is_served(tmp_path: Path) -> None:
    with Guard(tmp_path, version("v1"), "", start=False) as guard:
        guard.start_model()
        guard.start(wait=False)
        eventually(lambda: "config rejected" in guard.stderr.read_text())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", guard.port))


@pytest.mark.parametrize("text", ["{", "resources: []", auth_file(KEYS).replace("KeyAuth", "X")])
def test_with_a_broken_file_at_its_start_nobody_is_served_until_it_is_mended(
    tmp_path: Path, text: str
) -> None:
    with Guard(tmp_path, version("v1"), text, start=False) as guard:
        guard.start_model()
        guard.start(wait=False)
        reply = eventually(lambda: (found := guard()).status and found)
        assert (reply.status, reply.code) == (500, "gateway.not_ready")
        assert {guard(key=key).status for key in (None, "wrong", KEYS.secondary)} == {500}
        guard.allow(KEYS)
        eventually(lambda: guard().status == 200)
        assert guard(key="wrong").status == 401


def test_everybody_is_served_where_nothing_is_asked_for(tmp_path: Path) -> None:
    with Guard(tmp_path, version("v1"), None) as guard:
        assert guard(key=None).status == guard(key="whatever").status == 200


def test_keys_tokens_and_nothing_replace_one_another_while_the_guard_runs(guard: Guard) -> None:
    issuer = Issuer()
    caller = OpenConnection(guard.port)
    for _ in range(2):
        guard.allow(rules(issuer))
        eventually(lambda: caller.score(issuer.token()) == 200)
        assert caller.score(KEYS.primary) == 401
        guard.allow(None)
        eventually(lambda: caller.score("") == 200)
        guard.allow(KEYS)
        eventually(lambda: caller.score("") == 401)
        assert caller.score(KEYS.primary) == 200
        assert caller.score(issuer.token()) == 401


@pytest.mark.parametrize("number", [0, 1])
def test_a_token_is_accepted_and_not_passed_on(
    tokens: Guard, issuers: tuple[Issuer, Issuer], number: int
) -> None:
    reply = tokens(key=issuers[number].token())
    assert reply.status == 200
    assert not [name for name in reply.json()["headers"] if "auth" in name or "jwt" in name]
    assert tokens(key=issuers[number].token(aud=["x", "api://other"])).status == 200


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER "])
def test_the_scheme_of_a_token_may_have_either_case(
    tokens: Guard, issuers: tuple[Issuer, Issuer], scheme: str
) -> None:
    reply = tokens({"authorization": scheme + issuers[0].token()}, key=None)
    assert reply.status == 200
    assert "authorization" not in reply.json()["headers"]


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": -3600}, 401),
        ({"exp": None}, 401),
        ({"nbf": 3600}, 401),
        ({"iss": "https://elsewhere.example.com"}, 401),
        ({"iss": None}, 401),
        ({"aud": "api://elsewhere"}, 403),
        ({"aud": None}, 403),
        ({"header": {"alg": "none"}}, 401),
        ({"header": {"alg": "HS256"}}, 401),
        ({"header": {"alg": "RS384"}}, 401),
        ({"header": {"kid": "two"}}, 401),
    ],
    ids=str,
)
def test_a_token_that_is_not_as_agreed_is_refused(
    tokens: Guard, issuers: tuple[Issuer, Issuer], claims: dict[str, Any], status: int
) -> None:
    now = int(time.time())  # Times are told from now, or every worker would collect other tests.
    told = {name: now + one if isinstance(one, int) else one for name, one in claims.items()}
    reply = tokens(key=issuers[0].token(**told))
    assert reply.status == status
    assert reply.code in {"gateway.key_missing_or_wrong", "gateway.token_refused"}


def test_a_token_of_another_key_or_in_another_place_is_refused(
    tokens: Guard, issuers: tuple[Issuer, Issuer]
) -> None:
    stranger = Issuer("RS256", issuers[0].kid)
    assert tokens(key=stranger.token()).status == 401
    good = issuers[0].token()
    query = f"/score?access_token={good}"
    assert tokens.send("POST", query, {"authorization": ""}).status == 401
    assert tokens.send("POST", "/score", {"authorization": good}).status == 401
    head = f"GET /score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {good[:-10]}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", tokens.port)) as caller:
        caller.sendall(head.encode())
        response = http.client.HTTPResponse(caller)
        response.begin()
        assert response.status == 401
