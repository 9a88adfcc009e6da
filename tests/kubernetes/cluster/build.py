"""Builds what a cluster is made of, once per machine, into WEIR_CLUSTER_HOME.

A module's binaries and files are in ``HOME/built/KEY``; the key is a hash of its go.mod. A folder
appears there only when everything in it is complete.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kubernetes.cluster.errors import ClusterError
from tests.kubernetes.cluster.modules import ALL, Module

PARALLEL = "2"
"""Packages compiled at once: more of Kubernetes' and Istio's would not fit into a small memory."""


def home() -> Path:
    """Where the built parts are: WEIR_CLUSTER_HOME, or weir-cluster in the user's cache folder."""
    if named := os.environ.get("WEIR_CLUSTER_HOME"):
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "weir-cluster"


def built(module: Module) -> Path:
    """The folder with ``bin/`` and the copied files of a module; it may not exist yet."""
    return home() / "built" / module.key


def binary(name: str) -> Path:
    """The path of a built binary, by its name."""
    for module in ALL:
        if name in module.commands:
            return built(module) / "bin" / name
    raise ClusterError(f"no module builds {name}")


def build(modules: tuple[Module, ...] = ALL) -> None:
    """Build every module that is not built yet, saying each step in a line."""
    if all(built(module).exists() for module in modules):
        return
    with _alone():
        started = time.monotonic()
        for module in modules:
            if not built(module).exists():
                _build(module, started)


def _build(module: Module, started: float) -> None:
    go = _go(module)
    partial = built(module).with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "bin").mkdir(parents=True)
    if module.commands:
        _say(started, f"{module.name} {module.version}: downloading its modules")
        _run([go, "mod", "download"], module.folder)
    for name, package in module.commands.items():
        _say(started, f"{module.name} {module.version}: building {name}")
        output = partial / "bin" / name
        flags = ["-p", PARALLEL, "-trimpath", f"-ldflags={module.linker_flags}"]
        _run([go, "build", *flags, "-o", str(output), package], module.folder)
    if module.files:
        _say(started, f"{module.name} {module.version}: copying its files")
        _copy(module, Path(json.loads(_run(_source(go, module), module.folder))["Dir"]), partial)
    partial.rename(built(module))
    _say(started, f"{module.name} {module.version}: done")


def _source(go: str, module: Module) -> list[str]:
    return [go, "mod", "download", "-json", module.path]


def _copy(module: Module, source: Path, target: Path) -> None:
    for folder, patterns in module.files.items():
        (target / folder).mkdir(exist_ok=True)
        for pattern in patterns:
            found = sorted(source.glob(pattern))
            if not found:
                raise ClusterError(f"{module.path} {module.version} has no {pattern}")
            for path in found:
                (target / folder / path.name).write_bytes(path.read_bytes())


def _go(module: Module) -> str:
    """The ``go`` command, once it is known to be new enough."""
    go = shutil.which("go")
    wanted = ".".join(str(part) for part in module.go)
    if go is None:
        raise ClusterError(
            f"the test cluster is built with Go {wanted} or newer, and no go command is on PATH"
        )
    version = _run([go, "env", "GOVERSION"], module.folder).strip()
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < module.go:
        raise ClusterError(
            f"the test cluster is built with Go {wanted} or newer, and {go} is {version}"
        )
    return go


def _run(command: list[str], folder: Path) -> str:
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "downloading" not in line]
        raise ClusterError(f"{' '.join(command)} failed in {folder}: {' '.join(said[-5:])}")
    return done.stdout


def _say(started: float, what: str) -> None:
    print(f"[{time.monotonic() - started:5.0f} s] {what}", file=sys.stderr, flush=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Others who want to build wait until this one is through."""
    (home() / "built").mkdir(parents=True, exist_ok=True)
    with (home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
