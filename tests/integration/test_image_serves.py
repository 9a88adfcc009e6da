"""An image that weir built, really run, scores a request. The model server comes from an index."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.eventually import eventually
from tests.python_base import python_base
from tests.registry import buildah, lacking, push_base, run_buildah, running_registry
from weir.images.command_builder import CommandBuilder
from weir.images.dockerfile import Bases
from weir.images.settings import ImageSettings, ToolSettings
from weir.ports import BuildContext, Image
from weir.spec.inference import Inference

pytestmark = pytest.mark.slow

SCORE = """
import os

def init():
    global model
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.txt")) as file:
        model = file.read()

def run(raw_data):
    import priced
    return {"model": model, "user": os.getuid(), "package": priced.VALUE}
"""


@dataclass(frozen=True)
class Built:
    image: Image
    tool: ToolSettings
    settings: dict[str, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """An entry script with a package of its own, built on this machine's Python."""
    if lacking():
        pytest.skip(lacking())
    folder = tmp_path_factory.mktemp("serves")
    tool = buildah(folder)
    with running_registry(folder / "registry") as host:
        base = f"{host}/base/python:1"
        push_base(tool, python_base(folder / "base"), base)
        builder = CommandBuilder(
            ImageSettings(host, bases=Bases(python=base), platform=""),
            tool,
            folder=folder / "scratch",
        )
        image = builder.build(release_in(folder / "release"))
        found = json.loads(run_buildah(tool, "inspect", "--type", "image", image.digest))
        yield Built(image, tool, found["OCIv1"]["config"])


def release_in(folder: Path) -> BuildContext:
    source, package = folder / "source", folder / "package"
    source.mkdir(parents=True)
    (source / "score.py").write_text(SCORE)
    package.mkdir()
    (package / "priced.py").write_text("VALUE = 7\n")
    (package / "pyproject.toml").write_text(
        '[project]\nname = "priced"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["priced"]\n'
    )
    (folder / "requirements.txt").write_text("./package\n")
    (folder / "model.txt").write_text("weights")
    inference = Inference(entry_script="score.py", environment_variables={"SAYS": 'a "b" $HOME \\'})
    return BuildContext(folder / "model.txt", source, folder / "requirements.txt", inference)


@pytest.fixture
def address(built: Built) -> Iterator[str]:
    """Where the image serves, started by its own entry point on the port in PORT."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    container = run_buildah(built.tool, "from", built.image.digest).strip()
    command = ["buildah", *built.tool.options, "run", "--isolation", "chroot"]
    command += ["--env", f"PORT={port}", container, "--", *built.settings["Entrypoint"]]
    process = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_an_image_scores_as_its_release_file_says_and_not_as_root(
    built: Built, address: str
) -> None:
    def answer() -> requests.Response | None:
        try:
            return requests.post(f"{address}/score", json={}, timeout=10)
        except requests.ConnectionError:
            return None

    found = eventually(answer, timeout_seconds=60)
    assert found.json() == {"model": "weights", "user": 10001, "package": 7}
    assert 'SAYS=a "b" $HOME \\' in built.settings["Env"]
    container = run_buildah(built.tool, "from", built.image.digest).strip()
    mounted = Path(run_buildah(built.tool, "mount", container).strip())
    resolved = (mounted / "opt/weir/requirements/resolved.txt").read_text()
    assert "azureml-inference-server-http==1.5.1\n" in resolved
