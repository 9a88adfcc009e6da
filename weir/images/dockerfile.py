"""The Dockerfile of a release: what changes least comes first, the source last. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from weir.images.requirements import FIRST, FOLDER, IMAGE_REQUIREMENTS
from weir.serving import (
    IMAGE_MODEL,
    IMAGE_SOURCE,
    IMAGE_USER,
    SERVER,
    SERVER_APPLICATION,
    command_arguments,
    script_environment,
)
from weir.spec.inference import Inference

PYTHON_BASE = "docker.io/library/python:3.11.13-slim-bookworm"
GPU_BASE = "docker.io/nvidia/cuda:12.4.1-cudnn-runtime-ubuntu22.04"
CONDA_IMAGE = "docker.io/mambaorg/micromamba:2.3.2"

PORT = 8080
"""Where the image's own entry point listens unless PORT says otherwise."""

CONDA_FILE = "conda.yml"

_ENVIRONMENT = "/opt/weir/env"
_PIP = f"{_ENVIRONMENT}/bin/python -m pip"
_INSTALL = f"{_PIP} install --no-cache-dir --disable-pip-version-check"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Bases:
    """Images that images are built on. ``conda`` is where the program micromamba is taken from."""

    python: str = PYTHON_BASE
    gpu: str = GPU_BASE
    conda: str = CONDA_IMAGE

    def of(self, inference: Inference) -> str:
        """The image that one for ``inference`` is built on."""
        return inference.base_image or (self.gpu if inference.enable_gpu else self.python)

    def pulled(self, inference: Inference) -> tuple[str, ...]:
        """Every image that is pulled to build one for ``inference``."""
        return (self.of(inference), *((self.conda,) if inference.conda_file else ()))


@dataclass(frozen=True)
class Parts:
    """What the context holds beside the source. ``steps`` are the user's own lines."""

    has_model: bool
    has_requirements: bool
    has_conda: bool
    steps: str = ""
    has_hashes: bool = False


def render(inference: Inference, parts: Parts, bases: Bases) -> str:
    """The Dockerfile, which expects the context of ``weir.images.context``."""
    blocks = [
        f"FROM {bases.of(inference)}",
        # Whatever the base's user is: the layers are root's, and nothing in them is written to.
        "USER 0",
        parts.steps.rstrip("\n") and f"{parts.steps.rstrip()}\nUSER 0",
        _environment(inference, parts, bases),
        f"COPY model/ {IMAGE_MODEL}/" if parts.has_model else "",
        f"COPY source/ {IMAGE_SOURCE}/",
        _variables(_own_variables(inference) | inference.environment_variables),
        f"WORKDIR {IMAGE_SOURCE}\nUSER {IMAGE_USER}:{IMAGE_USER}",
        _entry_point(inference),
    ]
    return "\n".join(block for block in blocks if block) + "\n"


def _environment(inference: Inference, parts: Parts, bases: Bases) -> str:
    """A Python environment of its own, where one is wanted: another server may need none."""
    server = SERVER if inference.entry_script is not None else ""
    if not (server or parts.has_requirements or parts.has_conda):
        return ""
    lines = [_conda(bases) if parts.has_conda else _PYTHON, f"ENV PATH={_ENVIRONMENT}/bin:$PATH"]
    if parts.has_requirements:
        lines.append(f"COPY {FOLDER}/ {IMAGE_REQUIREMENTS}/")
    given = f"--requirement {FIRST}" if parts.has_requirements else ""
    steps = [f"mkdir -p {IMAGE_REQUIREMENTS}", f"cd {IMAGE_REQUIREMENTS}"]
    if given and server and parts.has_hashes:
        # pip takes nothing without a hash beside what has one.
        steps += [f"{_INSTALL} {given}", f"{_PIP} freeze > given.txt"]
        steps.append(f"{_INSTALL} {server} --constraint given.txt")
    elif given or server:
        steps.append(" ".join(one for one in (_INSTALL, server, given) if one))
    steps.append(f"{_PIP} freeze --all > resolved.txt")
    return "\n".join([*lines, _run(*steps)])


def _run(*steps: str) -> str:
    return "RUN " + " \\\n    && ".join(steps)


# A base such as NVIDIA's has no Python; what a base has installed stays visible.
_PYTHON = _run(
    "{ python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update"
    " && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
    " python3 python3-venv"
    " && rm -rf /var/lib/apt/lists/*; }; }",
    f"python3 -m venv --system-site-packages {_ENVIRONMENT}",
)


def _conda(bases: Bases) -> str:
    run = _run(
        f"MAMBA_ROOT_PREFIX=/tmp/mamba /usr/local/bin/micromamba create --yes --quiet"
        f" --prefix {_ENVIRONMENT} --file /opt/weir/{CONDA_FILE}",
        "rm -rf /tmp/mamba",
    )
    return "\n".join(
        [
            f"COPY --from={bases.conda} /bin/micromamba /usr/local/bin/micromamba",
            f"COPY {CONDA_FILE} /opt/weir/{CONDA_FILE}",
            run,
        ]
    )


def _own_variables(inference: Inference) -> dict[str, str]:
    script = inference.entry_script
    return {
        # The root file system may be read-only, and the user has no home.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/tmp",
        "PORT": str(PORT),
        "AZUREML_MODEL_DIR": IMAGE_MODEL,
        **(script_environment(script, IMAGE_SOURCE) if script is not None else {}),
    }


def _variables(values: Mapping[str, str]) -> str:
    """What a Dockerfile cannot hold is left to the platform, which sets every variable anyway."""
    written = [
        f"{name}={_quoted(value)}"
        for name, value in sorted(values.items())
        if _VARIABLE.fullmatch(name) and value.isprintable()
    ]
    return "ENV " + " \\\n    ".join(written)


def _quoted(value: str) -> str:
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'


def _entry_point(inference: Inference) -> str:
    """Serves on $PORT. A cluster starts the server with the deployment's own limits instead."""
    if inference.entry_script is not None:
        # Without --bind gunicorn listens on 0.0.0.0:$PORT.
        words = ("python", "-m", "gunicorn", "--no-control-socket", SERVER_APPLICATION)
        return f"ENTRYPOINT {json.dumps(words)}"
    filled = command_arguments(inference.command or (), IMAGE_MODEL, IMAGE_SOURCE)
    if any("{port}" in argument for argument in filled):
        line = "exec " + " ".join(_shell_word(argument) for argument in filled)
        return f"ENTRYPOINT {json.dumps(['/bin/sh', '-c', line])}"
    return f"ENTRYPOINT {json.dumps(filled)}"


def _shell_word(argument: str) -> str:
    if argument == "":
        return "''"
    return '"$PORT"'.join(shlex.quote(part) if part else "" for part in argument.split("{port}"))
