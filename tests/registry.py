"""A real registry on loopback (Debian's docker-registry), and buildah to build for it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.eventually import eventually
from weir.images.dockerfile import Bases
from weir.images.settings import ImageSettings, ToolSettings

_SETTINGS = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def lacking() -> str:
    """Which program tests with a real registry want and this machine has not; empty if none."""
    for program in ("docker-registry", "buildah"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return ""


@contextmanager
def running_registry(folder: Path, more: str = "") -> Iterator[str]:
    """HOST:PORT of a registry that keeps its images below ``folder``; ``more`` is settings."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    settings = folder / "registry.yml"
    settings.write_text(_SETTINGS.format(folder=folder, port=port) + more)
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(settings)], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: _answers(port))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/v2/", timeout=5).status_code in (200, 401)
    except requests.ConnectionError:
        return False


def buildah(folder: Path) -> ToolSettings:
    """buildah with a storage of its own below ``folder``, as it works in a container too."""
    return ToolSettings(
        program="buildah",
        options=(
            *("--root", f"{folder}/storage", "--runroot", f"{folder}/run"),
            *("--storage-driver", "vfs"),
        ),
        build_options=("--isolation", "chroot"),
    )


def make_empty_base(
    registry: str, folder: Path, tool: ToolSettings, login: tuple[str, ...] = ()
) -> ImageSettings:
    """Push an image that holds next to nothing; settings of a builder that builds on it."""
    context = folder / "base"
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY base /base\n")
    (context / "base").write_text("base")
    image = f"{registry}/base/empty:1"
    push_base(tool, context, image, login)
    return ImageSettings(registry, bases=Bases(python=image), platform="")


def push_base(tool: ToolSettings, context: Path, image: str, login: tuple[str, ...] = ()) -> None:
    """Build the image in ``context`` and push it as ``image``."""
    run_buildah(tool, "build", *tool.build_options, "--tag", image, str(context))
    run_buildah(tool, "push", *login, "--tls-verify=false", image, f"docker://{image}")


def run_buildah(tool: ToolSettings, *arguments: str) -> str:
    done = subprocess.run(
        [tool.program, *tool.options, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
