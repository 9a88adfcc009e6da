"""The files of one gateway: everything a restarted Envoy needs to come back as it was."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from weir import envoy
from weir.envoy.clusters import Health
from weir.envoy.resources import Resource
from weir.errors import PermanentError
from weir.local.disk import write_atomically, write_with_reserve
from weir.local.home import Home
from weir.local.processes import ProcessTable
from weir.ports import Keys

LISTENERS = "lds.yaml"
CLUSTERS = "cds.yaml"
FRONT_ROUTES = "rds.yaml"
BOOTSTRAP = "bootstrap.yaml"


class GatewayFiles:
    """Paths and contents below ``endpoints/<endpoint>``. Raises PermanentError ``disk.*``."""

    def __init__(self, home: Home, endpoint: str) -> None:
        self.home = home
        self.endpoint = endpoint

    @property
    def process_name(self) -> str:
        return f"{self.endpoint}.gateway"

    @property
    def admin_socket(self) -> Path:
        return self.home.socket(f"{self.endpoint}.gateway")

    @property
    def log(self) -> Path:
        return self.home.log(self.process_name)

    @property
    def directory(self) -> Path:
        return self.home.gateway(self.endpoint)

    def exist(self) -> bool:
        """Whether the endpoint has a gateway, running or not. Creates nothing."""
        folder = self.home.root / "endpoints" / self.endpoint / "gateway"
        return (folder / LISTENERS).is_file()

    def text(self, name: str) -> str | None:
        try:
            return (self.directory / name).read_text()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        write_with_reserve(self.home.reserve, self.directory / name, text)

    def resources(self, name: str) -> list[Resource]:
        """The resources of a discovery file; none when it is missing or unreadable."""
        try:
            return envoy.parse(self.text(name) or "")
        except ValueError:
            return []

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time; the lock ends with the process."""
        path = self.directory / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def keys(self) -> Keys | None:
        try:
            document = json.loads(self.home.keys(self.endpoint).read_text())
            return Keys(primary=document["primary"], secondary=document["secondary"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            # The parser's own error would quote the file.
            raise PermanentError(
                "gateway.keys_unreadable",
                "the keys of the endpoint cannot be read.",
                remedy="Remove the file, then release again: new keys are made.",
                where=str(self.home.keys(self.endpoint)),
            ) from None

    def ensure_keys(self) -> Keys:
        """The endpoint's keys, made when there are none; the first to make them wins."""
        if (keys := self.keys()) is not None:
            return keys
        made = Keys(primary=new_key(), secondary=new_key())
        _create(self.home.keys(self.endpoint), _keys_text(made))
        return self.keys() or made

    def write_keys(self, keys: Keys) -> None:
        write_atomically(self.home.keys(self.endpoint), _keys_text(keys))

    def endpoints_path(self, version: str) -> Path:
        return self.directory / f"eds-{version}.yaml"

    def ensure_endpoints(self, version: str) -> None:
        """An endpoint file for ``version``, with its ready replicas when there was none."""
        path = self.endpoints_path(version)
        if path.exists():
            return
        addresses: list[tuple[str, Health]] = []
        table = ProcessTable(self.home)
        for name in table.names(f"{self.endpoint}.{version}."):
            status = table.status(name)
            if status is not None and status.state == "ready" and status.port:
                addresses.append((f"127.0.0.1:{status.port}", "HEALTHY"))
        # The supervisor may write it at the same time, and knows better.
        _create(path, envoy.render(envoy.endpoints(version, addresses)))


def new_key() -> str:
    return secrets.token_urlsafe(32)


def _keys_text(keys: Keys) -> str:
    return json.dumps({"primary": keys.primary, "secondary": keys.secondary})


def _create(path: Path, text: str) -> None:
    """Write ``path`` with mode 0600 unless it exists; whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:60]}.", dir=path.parent)
    os.close(descriptor)
    try:
        write_atomically(Path(temporary), text)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
