"""What the client makes of answers that no API server should give, and of credentials that end."""

from __future__ import annotations

import json
import logging
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.unit.kubernetes.stub import Asked, Said, serving, status
from weir.errors import PermanentError, TemporaryError, UserError, WeirError
from weir.kubernetes.answers import Conflict, refusal
from weir.kubernetes.api import Api
from weir.kubernetes.connection import connect
from weir.kubernetes.followers import Followers
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import CONFIG_MAP, ROUTE, Object
from weir.kubernetes.shapes import as_yaml

THING: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "resourceVersion": "1"},
}
BACKEND = Said(404, "default backend - 404")
ROCKET = "\U0001f680"
Doing = Callable[[Api], object]
DOINGS: tuple[Doing, ...] = (
    lambda api: api.get(CONFIG_MAP, "a"),
    lambda api: api.list(CONFIG_MAP),
    lambda api: api.list_metadata(CONFIG_MAP, {}),
    lambda api: api.create(THING),
    lambda api: api.apply(THING),
    lambda api: api.patch(CONFIG_MAP, "a", {}),
    lambda api: api.delete(CONFIG_MAP, "a"),
    lambda api: api.read("/version", "read"),
    lambda api: list(api.watch(CONFIG_MAP, "1")),
)


def test_an_applied_object_keeps_every_character() -> None:
    odd = {**THING, "data": {"words": f'{ROCKET} \x7f\x85\u2028\ufeff\uffff é \\ud83d " \n \x1b'}}
    with serving(lambda _: Said(body=THING)) as stub:
        stub.api().apply(odd)
    (asked,) = stub.asked
    assert asked.headers["Content-Type"].startswith("application/apply-patch+yaml")
    assert json.loads(asked.body) == odd
    assert ROCKET.encode() in asked.body
    assert b"\\ude80" not in asked.body
    text = asked.body.decode()
    assert not any(one in text for one in "\x7f\x85\u2028\ufeff\uffff")


def test_half_a_character_is_still_sent_as_bytes() -> None:
    assert as_yaml({"a": "\ud800"}) == b'{"a":"\\ud800"}'


@pytest.mark.parametrize("said", [BACKEND, Said(404, {"message": "x"}), status(404, "")])
@pytest.mark.parametrize("doing", DOINGS)
def test_only_the_servers_own_word_says_that_something_is_missing(doing: Doing, said: Said) -> None:
    with serving(lambda _: said) as stub, pytest.raises(TemporaryError) as raised:
        doing(stub.api(patience_seconds=0.1))
    assert raised.value.reason == "kubernetes.not_the_server"


def test_a_proxy_that_answers_for_a_moment_is_outlived() -> None:
    answers = [BACKEND, Said(200, "<html>"), Said(body=THING)]
    with serving(lambda _: answers.pop(0)) as stub:
        found = stub.api().get(CONFIG_MAP, "a")
    assert found == THING


def test_what_the_server_says_is_missing_is() -> None:
    with serving(lambda _: status(404, "NotFound")) as stub:
        api = stub.api()
        assert api.get(CONFIG_MAP, "a") is None
        api.delete(CONFIG_MAP, "a")


def test_an_unknown_group_is_believed_of_what_is_added_alone() -> None:
    with serving(lambda _: Said(404, "404 page not found\n")) as stub:
        api = stub.api(patience_seconds=0.3)
        with pytest.raises(PermanentError) as raised:
            api.get(ROUTE, "a")
        assert raised.value.reason == "kubernetes.no_gateway_api"
        with pytest.raises(TemporaryError):
            api.get(CONFIG_MAP, "a")


@pytest.mark.parametrize("body", [None, [], [1], "x", 7, {"metadata": None}, {"metadata": "x"}])
@pytest.mark.parametrize("doing", [*DOINGS[:7]])
def test_a_body_of_another_shape_is_no_answer(doing: Doing, body: Any) -> None:
    with serving(lambda _: Said(body=json.dumps(body))) as stub:
        with pytest.raises(TemporaryError) as raised:
            doing(stub.api(patience_seconds=0.1))
        assert raised.value.reason == "kubernetes.unreachable"


@pytest.mark.parametrize(
    "event",
    [
        "7",
        "[]",
        "{}",
        '{"type": "ADDED", "object": 3}',
        '{"type": "ADDED", "object": {"metadata": {}}}',
        '{"type": "ERROR", "object": {"code": [1]}}',
        '{"type": "BOOKMARK", "object": {"metadata": []}}',
        '{"type": "ADDED", "object": {"metadata": {"resourceVersion": "1"}}}',
    ],
)
def test_an_event_of_another_shape_ends_the_watch(event: str) -> None:
    with serving(lambda _: Said(body=event + "\n")) as stub, pytest.raises(TemporaryError):
        list(stub.api().watch(CONFIG_MAP, "1"))


@pytest.mark.parametrize("details", ["x", 7, [], {"causes": "x"}, {"causes": 7}, {"causes": [1]}])
def test_details_of_another_shape_are_passed_over(details: object) -> None:
    body = json.dumps({"kind": "Status", "message": "m", "details": details})
    assert isinstance(refusal(409, body, "do", "here"), Conflict)
    for code in (403, 404, 422, 500):
        assert isinstance(refusal(code, body, "do", "here"), WeirError)


def test_a_conflict_is_the_servers_own() -> None:
    assert not isinstance(refusal(409, "<html>", "do", "here"), Conflict)


# Credentials.


class Door:
    """Lets in whoever shows ``token``; a sign-in command gives what stands in a file."""

    def __init__(self, folder: Path) -> None:
        self.token = "first"
        self._given, self._broken = folder / "token", folder / "broken"
        self.command = folder / "sign-in"
        self.command.write_text(
            "#!/bin/sh\n"
            f'if [ -e {self._broken} ]; then echo "no: secret=abc123" >&2; exit 1; fi\n'
            'echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",'
            '\\"kind\\":\\"ExecCredential\\",\\"status\\":'
            f'{{\\"token\\":\\"$(cat {self._given})\\"}}}}"\n'
        )
        self.command.chmod(self.command.stat().st_mode | stat.S_IXUSR)
        self.gives("first")

    @property
    def user(self) -> dict[str, Any]:
        version = "client.authentication.k8s.io/v1"
        return {"exec": {"apiVersion": version, "command": str(self.command)}}

    def gives(self, token: str) -> None:
        self._given.write_text(token)

    def breaks(self) -> None:
        self._broken.touch()

    def answer(self, asked: Asked) -> Said:
        is_let_in = asked.headers.get("Authorization") == f"Bearer {self.token}"
        return Said(body=THING) if is_let_in else status(401, "Unauthorized")


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_credentials_that_end_are_loaded_anew(door: Door) -> None:
    with serving(door.answer) as stub:
        api = stub.api(**door.user)
        api.get(CONFIG_MAP, "a")
        door.token = "second"
        door.gives("second")
        began = time.monotonic()
        assert api.get(CONFIG_MAP, "a") == THING
        assert api.in_namespace("other").get(CONFIG_MAP, "a") == THING
        assert time.monotonic() - began < 3


def test_a_sign_in_that_fails_for_a_moment_is_outlived(door: Door) -> None:
    with serving(door.answer) as stub:
        api = stub.api(**door.user)
        api.get(CONFIG_MAP, "a")
        door.token = "second"
        began = time.monotonic()

        def later(asked: Asked) -> Said:
            if time.monotonic() - began > 1:
                door.gives("second")
            return door.answer(asked)

        stub.answer = later
        assert api.get(CONFIG_MAP, "a") == THING


def test_a_token_that_never_worked_is_told_at_once(door: Door) -> None:
    door.gives("wrong")
    with serving(door.answer) as stub, pytest.raises(PermanentError) as raised:
        stub.api(**door.user).get(CONFIG_MAP, "a")
    assert raised.value.reason == "kubernetes.unauthorized"
    assert len(stub.asked) == 1


def test_credentials_that_stay_bad_are_told_in_the_end(door: Door) -> None:
    with serving(door.answer) as stub:
        api = stub.api(patience_seconds=0.6, **door.user)
        api.get(CONFIG_MAP, "a")
        door.token = "second"
        with pytest.raises(TemporaryError) as watched:
            list(api.watch(CONFIG_MAP, "1"))
        with pytest.raises(PermanentError) as raised:
            api.get(CONFIG_MAP, "a")
    assert watched.value.reason == raised.value.reason == "kubernetes.unauthorized"


def test_a_sign_in_command_that_fails_is_named_and_not_quoted(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(door.answer) as stub, caplog.at_level(logging.DEBUG):
        api = stub.api(patience_seconds=0.6, **door.user)
        api.get(CONFIG_MAP, "a")
        door.breaks()
        assert api.get(CONFIG_MAP, "a") == THING
        door.token = "second"
        with pytest.raises(PermanentError) as later:
            api.get(CONFIG_MAP, "a")
        with pytest.raises(UserError) as first:
            connect(stub.access(door.user))
    for error in (later.value, first.value):
        assert error.reason == "kubernetes.sign_in"
        assert "sign-in command sign-in failed" in error.message
        assert "abc123" not in str(error)
    assert "abc123" not in caplog.text


# Patience.


def test_the_servers_wish_is_honoured_within_the_patience() -> None:
    answers = [Said(429, "", {"Retry-After": "1"}), Said(body=THING)]
    with serving(lambda _: answers.pop(0)) as stub:
        began = time.monotonic()
        stub.api(patience_seconds=2).get(CONFIG_MAP, "a")
    assert 1 <= time.monotonic() - began < 2


def test_a_wish_beyond_the_patience_is_not_slept_for() -> None:
    with serving(lambda _: Said(429, "", {"Retry-After": "60"})) as stub:
        began = time.monotonic()
        with pytest.raises(TemporaryError):
            stub.api(patience_seconds=5).get(CONFIG_MAP, "a")
    assert time.monotonic() - began < 1


def test_patience_is_used_up_and_not_exceeded() -> None:
    with serving(lambda _: Said(503, "")) as stub:
        began = time.monotonic()
        with pytest.raises(TemporaryError):
            stub.api(patience_seconds=2).get(CONFIG_MAP, "a")
    assert 1.9 < time.monotonic() - began < 2.5


# The server's clock.


@pytest.mark.parametrize("ahead_seconds", [-3600, 3600, 0])
def test_the_time_is_the_servers(ahead_seconds: float) -> None:
    ahead = timedelta(seconds=ahead_seconds)

    def answer(_: Asked) -> Said:
        at = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        return Said(body=THING, headers={"Date": at})

    with serving(answer) as stub:
        api = stub.api()
        api.get(CONFIG_MAP, "a")
    assert abs(api.now() - datetime.now(UTC) - ahead) < timedelta(seconds=3)


# What is followed.


class _Mistaken(Api):
    """Its watch has a mistake in it."""

    def watch(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("a mistake")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_following_whose_thread_has_died_is_begun_anew() -> None:
    with serving(lambda _: Said(body=THING)) as stub:
        followers = Followers()
        access = stub.access({"token": "good"})
        bad, good = _Mistaken(connect(access), "models"), stub.api()
        died = followers.follow("a", lambda: Following(bad, CONFIG_MAP, seed=THING))
        eventually(lambda: died.is_over, 5)
        assert followers.get("a") is None
        again = followers.follow("a", lambda: Following(good, CONFIG_MAP, seed=THING))
        assert again is not died
        assert followers.get("a") is again
        followers.forget("a")
        assert again.is_over
