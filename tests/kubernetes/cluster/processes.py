"""Processes that outlive whoever started them, found again by the records in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.kubernetes.cluster.errors import ClusterError


class Processes:
    """Named processes, each in a session of its own; pids and logs are files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records = folder / "pids"
        self._logs = folder / "logs"

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start a process in the background, unless it runs already."""
        if self.find(name):
            return
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=folder or self.folder,
                env=os.environ | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        record = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
        self._record(name).write_text(json.dumps(record))

    def find(self, name: str) -> psutil.Process | None:
        """The running process of that name; a pid that went to another process is not it."""
        try:
            record = json.loads(self._record(name).read_text())
            process = psutil.Process(record["pid"])
            same = process.create_time() == record["created"]
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def running(self) -> dict[str, psutil.Process]:
        """Every process with a record that still runs, by its name."""
        names = sorted(path.stem for path in self._records.glob("*.json"))
        found = {name: self.find(name) for name in names}
        return {name: process for name, process in found.items() if process}

    def stop(self, *names: str, patience_seconds: float = 5.0) -> None:
        """End processes: politely at first, and surely after ``patience_seconds``."""
        left = [process for name in names if (process := self.find(name))]
        for sent in (signal.SIGTERM, signal.SIGKILL):
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, sent)
            _, left = psutil.wait_procs(left, patience_seconds)
        for name in names:
            self._record(name).unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def wait(
        self, name: str, what: str, condition: Callable[[], bool], patience_seconds: float = 60.0
    ) -> None:
        """Until ``condition`` holds; ClusterError when ``name`` ends or takes too long."""
        deadline = time.monotonic() + patience_seconds
        while not condition():
            if not self.find(name):
                raise ClusterError(f"{name} ended before {what}: {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{what} did not come about in {patience_seconds:g} s; "
                    f"the log of {name} is {self.log(name)}"
                )
            time.sleep(0.1)

    def _record(self, name: str) -> Path:
        return self._records / f"{name}.json"

    def _last_words(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:])


def free_ports(names: Sequence[str]) -> dict[str, int]:
    """As many free ports on loopback, by name; held together, so that no two are the same."""
    with contextlib.ExitStack() as held:
        ports = {}
        for name in names:
            listener = held.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports[name] = int(listener.getsockname()[1])
        return ports
