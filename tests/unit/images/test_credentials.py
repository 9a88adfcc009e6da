from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from weir.images.credentials import Credentials, find_credentials, login_files


def login(folder: Path, **settings: Any) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(settings))
    return str(path)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_login_that_a_tool_wrote_down_is_found(tmp_path: Path) -> None:
    file = login(tmp_path, auths={"registry.example": {"auth": encoded("ada:se:cret")}})
    assert find_credentials("registry.example", file) == Credentials("ada", "se:cret")
    assert find_credentials("other.example", file) is None


def test_an_identity_token_is_found(tmp_path: Path) -> None:
    file = login(
        tmp_path, auths={"a.azurecr.io": {"auth": encoded("00000000:"), "identitytoken": "token"}}
    )
    assert find_credentials("a.azurecr.io", file) == Credentials("00000000", "", "token")


@pytest.mark.parametrize(
    ("settings", "answer", "found"),
    [
        ({"credsStore": "desktop"}, {"Username": "ada", "Secret": "s"}, Credentials("ada", "s")),
        (
            {"credHelpers": {"r.example": "acr-env"}},
            {"Username": "<token>", "Secret": "t"},
            Credentials(identity_token="t"),
        ),
        ({"credHelpers": {"other": "acr-env"}}, {"Username": "ada", "Secret": "s"}, None),
        ({"credsStore": "desktop"}, {}, None),
        ({"credsStore": "../evil"}, {"Username": "ada", "Secret": "s"}, None),
    ],
)
def test_a_credential_helper_is_asked(
    tmp_path: Path, settings: dict[str, Any], answer: dict[str, str], found: Credentials | None
) -> None:
    def helper(argv: list[str], **sent: Any) -> subprocess.CompletedProcess[str]:
        assert argv[1:] == ["get"]
        assert sent["input"] == "r.example"
        return subprocess.CompletedProcess(argv, 0, json.dumps(answer), "")

    assert find_credentials("r.example", login(tmp_path, **settings), helper) == found


def test_a_helper_that_is_not_installed_is_no_login(tmp_path: Path) -> None:
    file = login(tmp_path, credsStore="no-such-helper-anywhere")
    assert find_credentials("r.example", file) is None


@pytest.mark.parametrize("text", ["", "[]", '{"auths": []}', '{"auths": {"r": {"auth": "%%%"}}}'])
def test_what_is_no_login_file_holds_no_login(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    found = find_credentials("r", str(tmp_path / "config.json"))
    assert found in (None, Credentials())


def test_logins_are_looked_for_where_the_tools_keep_them() -> None:
    environment = {"REGISTRY_AUTH_FILE": "/a", "XDG_RUNTIME_DIR": "/r", "DOCKER_CONFIG": "/d"}
    assert [str(one) for one in login_files(environment, Path("/home/ada"), 7)] == [
        "/a",
        "/r/containers/auth.json",
        "/d/config.json",
    ]
    assert [str(one) for one in login_files({}, Path("/home/ada"), 7)] == [
        "/run/containers/7/auth.json",
        "/home/ada/.docker/config.json",
    ]


def test_what_is_secret_is_not_shown() -> None:
    assert "hush" not in repr(Credentials("ada", "hush", "hush"))
