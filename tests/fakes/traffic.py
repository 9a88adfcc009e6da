"""A gateway in memory, for flows and for code that only needs the port."""

from __future__ import annotations

from datetime import UTC, datetime

from weir.endpoint import Endpoint, Split
from weir.errors import PermanentError, TemporaryError
from weir.ports import Keys

FIRST_PORT = 40_000


class FakeTraffic:
    """Remembers what was applied, in order. ``now`` is the clock of acknowledgements.

    ``failures`` errors are raised by the next calls of ``apply``, one each; the split then stays.
    """

    def __init__(self, now: datetime = datetime(2025, 11, 24, 12, tzinfo=UTC)) -> None:
        self.now = now
        self.applied: list[Endpoint] = []
        self.failures: list[TemporaryError] = []
        self.hanging: dict[str, int] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._keys: dict[str, Keys] = {}

    def ensure(self, endpoint: Endpoint) -> Endpoint:
        known = self._endpoints.get(endpoint.name)
        port = endpoint.port or (known.port if known else None)
        found = endpoint.with_port(port or FIRST_PORT + len(self._endpoints))
        if known is None:
            self._endpoints[endpoint.name] = found
        else:
            self._endpoints[endpoint.name] = known.with_port(found.port or 0)
        self.keys(endpoint.name)
        return found

    def difference(self, endpoint: str) -> tuple[str, ...]:
        return ()

    def apply(self, endpoint: Endpoint, revision: int = 0) -> datetime:
        if endpoint.name not in self._endpoints:
            raise PermanentError(
                "gateway.unknown",
                f"endpoint {endpoint.name} has no gateway.",
                remedy="Release a version to it: that makes one.",
            )
        if self.failures:
            raise self.failures.pop(0)
        port = self._endpoints[endpoint.name].port or 0
        self._endpoints[endpoint.name] = endpoint.with_port(port)
        self.applied.append(endpoint)
        return self.now

    def withdraw(self, endpoint: Endpoint, revision: int = 0) -> datetime:
        return self.apply(endpoint)

    def split(self, endpoint: str) -> Split | None:
        known = self._endpoints.get(endpoint)
        return known.split if known else None

    def reclaim(self, endpoint: str) -> tuple[str, ...]:
        return ()

    def in_flight(self, endpoint: str) -> dict[str, int]:
        return dict(self.hanging)

    def trouble(self, endpoint: str) -> str:
        return ""

    def scoring_uri(self, endpoint: str) -> str | None:
        known = self._endpoints.get(endpoint)
        return f"http://127.0.0.1:{known.port}/score" if known else None

    def keys(self, endpoint: str) -> Keys:
        made = Keys(primary=f"primary-of-{endpoint}", secondary=f"secondary-of-{endpoint}")
        return self._keys.setdefault(endpoint, made)

    def remove(self, endpoint: str) -> None:
        self._endpoints.pop(endpoint, None)
        self._keys.pop(endpoint, None)
