"""A real collector with the configuration in deployments/azure/collector.yaml, on this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from tests.eventually import eventually
from tests.guard import free_ports

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "deployments" / "azure" / "collector.yaml"
BUILDER = Path(__file__).with_name("collector.builder.yaml")
CONNECTION_STRING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
KEY = "00000000-0000-4000-8000-000000000000"

REQUIRED = "WEIR_TEST_COLLECTOR"
"""Set to "required", a test builds the collector, or fails, instead of being skipped."""


def manifest() -> Mapping[str, Any]:
    """The objects of the manifest by kind; there is one of each."""
    found = list(yaml.safe_load_all(MANIFEST.read_text()))
    kinds = {thing["kind"]: thing for thing in found}
    assert len(kinds) == len(found)
    return kinds


def config_text() -> str:
    """The collector's configuration as the container sees it."""
    return str(manifest()["ConfigMap"]["data"]["config.yaml"])


def config() -> Any:
    """The same, read, with every variable at its default."""
    default = re.sub(r"\$\{env:\w+:-([^}]*)\}", r"\1", config_text())
    return yaml.safe_load(default)


def binary() -> Path:
    """The collector of this machine; the test is skipped where there is none."""
    is_required = os.environ.get(REQUIRED) == "required"
    script = [str(ROOT / "scripts" / "get-collector"), *([] if is_required else ["--path"])]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = Path(done.stdout.strip())
    if not found.exists():
        pytest.skip(f"there is no collector on this machine: scripts/get-collector builds {found}")
    return found


class Collector:
    """The collector, sending to the endpoint at ``ingestion``; healthy when the block begins.

    Its level of logging is debug, at which the exporter says what became of its posts.
    """

    def __init__(self, root: Path, ingestion: str, path: Path | None = None) -> None:
        self._binary = path or binary()
        self.port, self._health_port = free_ports(2)
        self.file, self._log = root / "config.yaml", root / "collector.log"
        self.file.write_text(config_text())
        self._environment = {
            "OTLP_ENDPOINT": f"127.0.0.1:{self.port}",
            "HEALTH_ENDPOINT": f"127.0.0.1:{self._health_port}",
            "LOG_LEVEL": "debug",
            # A Secret that was made from a command's output ends in a newline.
            CONNECTION_STRING: f"InstrumentationKey={KEY};IngestionEndpoint={ingestion}\n",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def validate(self) -> str:
        """What ``validate`` says of the configuration; nothing if it is good."""
        done = subprocess.run(
            [self._binary, "validate", f"--config={self.file}"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr if done.returncode else ""

    def log(self) -> str:
        return self._log.read_text()

    def terminate(self) -> int:
        """End it as the kubelet does; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._binary, f"--config={self.file}"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self._is_healthy)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _is_healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            address = f"http://127.0.0.1:{self._health_port}/"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False
