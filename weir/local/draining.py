"""Telling the gateway which replicas take requests, and asking it which still work on some."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Protocol

from weir.local.home import Home

SETTLING_SECONDS = 0.3
"""How long the gateway may take to follow; until then no answer of it is believed."""

_ASK_EVERY_SECONDS = 0.1
_FREE_ANSWERS = 2

Addresses = tuple[tuple[str, str], ...]


class Gateways(Protocol):
    """What the supervisor needs of the gateways of a home."""

    def publish(self, endpoint: str, version: str, addresses: Sequence[tuple[str, str]]) -> None:
        """Make these replicas the version's, each with HEALTHY or DRAINING."""

    def active_requests(self, endpoint: str, version: str, address: str) -> int:
        """Requests that the replica works on now; 0 without a gateway."""

    def rotate_access_log(self, endpoint: str) -> None: ...


class LocalGateways:
    """The Envoy gateways of a home. Imported on first use: a home may hold no endpoint."""

    maximum_log_bytes = 64_000_000
    kept_logs = 8

    def __init__(self, home: Home) -> None:
        self._root: Path = home.root

    def publish(self, endpoint: str, version: str, addresses: Sequence[tuple[str, str]]) -> None:
        endpoints = importlib.import_module("weir.local.endpoints")
        endpoints.publish(self._root, endpoint, version, list(addresses))

    def active_requests(self, endpoint: str, version: str, address: str) -> int:
        endpoints = importlib.import_module("weir.local.endpoints")
        return int(endpoints.active_requests(self._root, endpoint, version, address))

    def rotate_access_log(self, endpoint: str) -> None:
        access_log = importlib.import_module("weir.local.access_log")
        access_log.rotate_access_log(self._root, endpoint, self.maximum_log_bytes, self.kept_logs)


class Publisher:
    """Publishes replicas when they differ from what was published last; tries again on failure."""

    def __init__(self, gateways: Gateways, say: Callable[[str], None]) -> None:
        self._gateways = gateways
        self._say = say
        self._published: dict[tuple[str, str], Addresses] = {}
        self._failed: set[tuple[str, str]] = set()

    def publish(self, wanted: Mapping[tuple[str, str], Addresses]) -> None:
        """``wanted`` maps endpoint and version to the addresses that take or finish requests."""
        for key in wanted.keys() | self._published.keys():
            addresses = wanted.get(key, ())
            if self._published.get(key) == addresses:
                continue
            try:
                self._gateways.publish(*key, addresses)
            except Exception as error:  # noqa: BLE001 a broken gateway must not stop the rest
                if key not in self._failed:
                    self._say(f"cannot publish {'.'.join(key)}: {error!r}")
                self._failed.add(key)
                continue
            self._failed.discard(key)
            self._published[key] = addresses
        for key in self._published.keys() - wanted.keys() - self._failed:
            del self._published[key]


class Drain:
    """Waits until the gateway says that a replica has no request left. Never blocks."""

    def __init__(
        self,
        gateways: Gateways,
        executor: Executor,
        labels: Mapping[str, str],
        address: str,
        now: float,
        timeout_seconds: float,
    ) -> None:
        self._ask = lambda: gateways.active_requests(labels["endpoint"], labels["version"], address)
        self._executor = executor
        self._until = now + timeout_seconds
        self._next_at = now + SETTLING_SECONDS
        self._free = 0
        self._answer: Future[int] | None = None

    def is_over(self, now: float) -> bool:
        if now >= self._until:
            return True
        if self._answer is not None and self._answer.done():
            # A gateway that cannot be asked has no requests either.
            active = 0 if self._answer.exception() else self._answer.result()
            self._free = 0 if active else self._free + 1
            self._answer = None
        if self._free >= _FREE_ANSWERS:
            return True
        if self._answer is None and now >= self._next_at:
            self._next_at = now + _ASK_EVERY_SECONDS
            self._answer = self._executor.submit(self._ask)
        return False
