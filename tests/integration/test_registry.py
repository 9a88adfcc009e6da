"""A real registry, and buildah with it: what is there, who is let in."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from tests.registry import buildah, lacking, make_empty_base, running_registry
from tests.unit.images.contexts import context_in
from weir.errors import PermanentError
from weir.images.command_builder import CommandBuilder
from weir.images.credentials import Credentials, find_credentials
from weir.images.registry import Registry
from weir.images.settings import ImageSettings, ToolSettings

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "ada", "wordpass"
_ENTRY = "ada:$2b$04$0IaEeM/NiddQCIZVZnsmJOO2EA7/blaP/INjDEt3.SvOkWZtkyvoy\n"
"""The password as htpasswd keeps it."""

_WITH_LOGIN = "auth: {{htpasswd: {{realm: weir, path: {path}}}}}\n"


@dataclass(frozen=True)
class Site:
    host: str
    settings: ImageSettings
    tool: ToolSettings
    login: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A registry that wants a login, with a base in it, and the file of that login."""
    if lacking():
        pytest.skip(lacking())
    folder = tmp_path_factory.mktemp("registry")
    (folder / "htpasswd").write_text(_ENTRY)
    with running_registry(folder, _WITH_LOGIN.format(path=folder / "htpasswd")) as host:
        login = folder / "login.json"
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        login.write_text(json.dumps({"auths": {host: {"auth": known}}}))
        tool = buildah(folder)
        settings = make_empty_base(host, folder, tool, ("--authfile", str(login)))
        yield Site(host, settings, replace(tool, auth_file=str(login)), login)


def test_the_digest_is_that_of_the_manifest_that_the_registry_keeps(site: Site) -> None:
    registry = Registry(site.host, lambda: find_credentials(site.host, str(site.login)))
    found = registry.find("base/empty", "1")
    address = f"http://{site.host}/v2/base/empty/manifests/{found}"
    kept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = requests.get(address, headers=kept, auth=(USER, PASSWORD), timeout=10)
    assert found == f"sha256:{hashlib.sha256(manifest.content).hexdigest()}"


def test_what_is_not_there_has_no_digest(site: Site) -> None:
    registry = Registry(site.host, lambda: Credentials(USER, PASSWORD))
    assert registry.find("base/empty", "2") is None
    assert registry.find("base/other", "1") is None


@pytest.mark.parametrize("login", [None, Credentials(USER, "wrong"), Credentials("bob", PASSWORD)])
def test_nobody_else_is_let_in(site: Site, login: Credentials | None) -> None:
    with pytest.raises(PermanentError) as raised:
        Registry(site.host, lambda: login).find("base/empty", "1")
    assert raised.value.reason == "image.registry_sign_in"
    assert "wrong" not in str(raised.value)


def test_an_image_is_pushed_with_the_login_of_a_file(site: Site, tmp_path: Path) -> None:
    said: list[str] = []
    builder = CommandBuilder(site.settings, site.tool, folder=tmp_path / "scratch")
    context = context_in(tmp_path, command=("python", "score.py"))
    assert builder.build(context, said.append).built
    assert not builder.build(context, said.append).built
    assert said
    assert PASSWORD not in "\n".join(said)


def test_layers_of_what_did_not_change_are_pushed_once(site: Site, tmp_path: Path) -> None:
    said: list[str] = []
    builder = CommandBuilder(site.settings, site.tool, folder=tmp_path / "scratch")
    context = context_in(tmp_path, command=("python", "score.py"))
    (tmp_path / "fraud" / "weights.bin").write_bytes(b"a model of its own")
    builder.build(context)
    (context.source_directory / "score.py").write_text("other code")
    assert builder.build(context, said.append).built
    model = next(at for at, line in enumerate(said) if "COPY model/" in line)
    assert "Using cache" in said[model + 1]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.images.contexts import context_in
from weir.images.command_builder import CommandBuilder
from weir.images.dockerfile import Bases
from weir.images.settings import ImageSettings, ToolSettings

def say(line):
    if line.startswith(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
settings = ImageSettings(sys.argv[2], bases=Bases(python=sys.argv[3]), platform="")
tool = ToolSettings("buildah", tuple(sys.argv[6:]), ("--isolation", "chroot"), sys.argv[5])
context = context_in(folder, command=("python", "score.py", sys.argv[4]))
CommandBuilder(settings, tool, folder=folder / "scratch").build(context, say)
"""


@pytest.mark.parametrize("moment", ["STEP 3", "Copying blob"])
def test_a_builder_that_was_killed_is_gone_on_with(site: Site, tmp_path: Path, moment: str) -> None:
    context = context_in(tmp_path, command=("python", "score.py", moment))
    base = site.settings.bases.python
    arguments = [str(tmp_path), site.host, base, moment, str(site.login), *site.tool.options]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    builder = CommandBuilder(site.settings, site.tool, folder=tmp_path / "scratch")
    assert builder.build(context).digest == builder.digest(context)
    assert not builder.build(context).built
    assert list((tmp_path / "scratch").iterdir()) == []
