from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.unit.images.stub_registry import Stub, stub_registry
from weir.errors import PermanentError, TemporaryError, UserError, WeirError
from weir.images.credentials import Credentials
from weir.images.registry import Registry, is_loopback


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_registry(Stub()) as found:
        yield found


def refused(registry: Registry) -> WeirError:
    with pytest.raises(WeirError) as raised:
        registry.find("a/b", "1")
    return raised.value


def test_without_a_login_an_anonymous_token_is_asked_for(stub: Stub) -> None:
    assert Registry(stub.host).find("a/b", "1") == "sha256:feed"
    assert [(method, path.split("?")[0]) for method, path, _ in stub.asked] == [
        ("HEAD", "/v2/a/b/manifests/1"),
        ("GET", "/token"),
        ("HEAD", "/v2/a/b/manifests/1"),
    ]
    assert "service=of-stub" in stub.asked[1][1]


def test_a_password_is_shown_to_the_token_server_alone(stub: Stub) -> None:
    Registry(stub.host, lambda: Credentials("ada", "hush")).find("a/b", "1")
    shown = [sent.split(" ")[0] for _, _, sent in stub.asked]
    assert shown == ["", "Basic", "Bearer"]


def test_an_identity_token_is_exchanged(stub: Stub) -> None:
    Registry(stub.host, lambda: Credentials(identity_token="id")).find("a/b", "1")
    assert stub.forms[0]["grant_type"] == ["refresh_token"]
    assert stub.forms[0]["refresh_token"] == ["id"]


def test_an_image_that_is_not_there_has_no_digest(stub: Stub) -> None:
    stub.status = 404
    assert Registry(stub.host).find("a/b", "1") is None


def test_a_registry_that_does_not_say_the_digest_is_asked_for_the_manifest(stub: Stub) -> None:
    stub.digest = ""
    wanted = f"sha256:{hashlib.sha256(b'manifest').hexdigest()}"
    assert Registry(stub.host).find("a/b", "1") == wanted


@pytest.mark.parametrize(
    ("status", "token_status", "kind", "reason"),
    [
        (200, 401, PermanentError, "image.registry_sign_in"),
        (403, 200, PermanentError, "image.registry_sign_in"),
        (503, 200, TemporaryError, "image.registry_unreachable"),
        (429, 200, TemporaryError, "image.registry_unreachable"),
        (400, 200, PermanentError, "image.registry_refused"),
    ],
)
def test_what_the_registry_refuses_is_told_without_the_login(
    stub: Stub, status: int, token_status: int, kind: type[WeirError], reason: str
) -> None:
    stub.status, stub.token_status = status, token_status
    error = refused(Registry(stub.host, lambda: Credentials("ada", "hush")))
    assert (type(error), error.reason, error.where) == (kind, reason, stub.host)
    assert "hush" not in str(error)


def test_a_login_is_not_sent_where_anybody_can_read_it(stub: Stub) -> None:
    stub.realm = "http://token.example/"
    error = refused(Registry(stub.host, lambda: Credentials("ada", "hush")))
    assert (type(error), error.reason) == (UserError, "image.registry_insecure")


def test_a_registry_that_wants_a_login_says_how_to_sign_in(stub: Stub) -> None:
    stub.challenge = 'Basic realm="here"'
    error = refused(Registry(stub.host))
    assert error.reason == "image.registry_sign_in"
    assert f"docker login, buildah login or podman login {stub.host}" in error.remedy


def test_a_registry_that_nobody_runs_may_come_back(stub: Stub) -> None:
    error = refused(Registry("127.0.0.1:1"))
    assert isinstance(error, TemporaryError)
    assert error.reason == "image.registry_unreachable"


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "registry.example:5000", "128.0.0.1", "::2"])
def test_what_is_not_loopback_is_spoken_to_with_tls(host: str) -> None:
    assert not is_loopback(host)
