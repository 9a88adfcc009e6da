"""Writing a discovery file, and waiting until Envoy has taken it or refused it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from weir import envoy
from weir.envoy.resources import Resource
from weir.errors import TemporaryError
from weir.local import process_logs
from weir.local.admin import Admin, AdminUnavailableError
from weir.local.gateway_files import (
    CLUSTERS,
    FRONT_ROUTES,
    LISTENERS,
    GatewayFiles,
)

TIMEOUT_SECONDS = 10.0

_POLL_SECONDS = 0.002
_SLOW_POLL_SECONDS = 0.05
_STATS = {
    LISTENERS: "listener_manager.lds.",
    CLUSTERS: "cluster_manager.cds.",
    FRONT_ROUTES: f"http.{envoy.FRONT}.rds.{envoy.FRONT}.",
}
_WARMING = {
    CLUSTERS: "cluster_manager.warming_clusters",
    LISTENERS: "listener_manager.total_listeners_warming",
}
_PATTERN = r"(\.(version_text|update_rejected)|warming_clusters|listeners_warming)$"


class GatewayDownError(TemporaryError):
    """Envoy gave no answer at all: what was written takes effect when it runs again."""


@dataclass(frozen=True)
class Acknowledged:
    """Envoy's answers to the files of one gateway."""

    files: GatewayFiles
    admin: Admin
    timeout_seconds: float = TIMEOUT_SECONDS

    def put(self, name: str, resources: list[Resource]) -> None:
        """Make ``resources`` effective and return when they are; no write when they already are.

        Raises TemporaryError ``gateway.rejected`` with Envoy's own words, or
        ``gateway.not_acknowledged``. Either way the file holds again what it held before, so
        that a restarted Envoy comes back with that. An Envoy that does not answer at all has
        refused nothing: GatewayDownError ``gateway.down``, and the file keeps ``resources``.
        """
        text = envoy.render(resources)
        previous = self.files.text(name)
        before = self._stats()
        if text == previous and before is not None and _is_effective(name, text, before):
            return
        log_length = _size(self.files)
        self.files.write(name, text)
        try:
            self._wait(name, text, before, log_length)
        except GatewayDownError:
            raise
        except BaseException:
            if previous is not None and previous != text:
                self.files.write(name, previous)
            raise

    def _wait(self, name: str, text: str, before: dict[str, Any] | None, log_length: int) -> None:
        rejected = _STATS[name] + "update_rejected"
        deadline = time.monotonic() + self.timeout_seconds
        pause_seconds = _POLL_SECONDS
        answered = False
        while True:
            now = self._stats()
            if now is not None:
                answered = True
                if _is_effective(name, text, now):
                    return
                known = 0 if before is None else before.get(rejected, 0)
                if now.get(rejected, 0) > known and not _has_version(name, text, now):
                    raise self._error("rejected", f"refused {name}", log_length)
            if time.monotonic() > deadline:
                if not answered:
                    raise self._down(name)
                within = f"did not take {name} within {self.timeout_seconds:g} s"
                raise self._error("not_acknowledged", within, log_length)
            time.sleep(pause_seconds)
            pause_seconds = min(_SLOW_POLL_SECONDS, pause_seconds * 1.3)

    def _error(self, code: str, what: str, log_length: int) -> TemporaryError:
        words = self._words(log_length)
        return TemporaryError(
            f"gateway.{code}",
            f"Envoy {what}; it keeps what it had{': ' + words if words else ''}.",
            remedy="Run again; if it stays, read the gateway's log.",
            where=str(self.files.log),
        )

    def _down(self, name: str) -> GatewayDownError:
        return GatewayDownError(
            "gateway.down",
            f"Envoy did not answer within {self.timeout_seconds:g} s; {name} is written and takes"
            " effect when the gateway is back.",
            remedy="Start it with weir up, then run again; why it does not run, its log may say.",
            where=str(self.files.log),
        )

    def _words(self, log_length: int) -> str:
        """What Envoy logged since, without keys, which go from the log too."""
        keys = self.files.keys()
        if keys is not None:
            process_logs.redact(self.files.log, (keys.primary, keys.secondary))
        try:
            with self.files.log.open("rb") as log:
                log.seek(log_length)
                lines = log.read(20_000).decode(errors="replace").splitlines()
        except OSError:
            return ""
        told = " ".join(line.strip() for line in lines if "rejected" in line or "error" in line)
        return told[:600]

    def _stats(self) -> dict[str, Any] | None:
        try:
            return self.admin.stats(_PATTERN)
        except AdminUnavailableError:
            return None


def _has_version(name: str, text: str, stats: dict[str, Any]) -> bool:
    return bool(stats.get(_STATS[name] + "version_text") == envoy.version_info(text))


def _is_effective(name: str, text: str, stats: dict[str, Any]) -> bool:
    # A cluster that is still warming is unknown to routes, such a listener does not listen.
    return _has_version(name, text, stats) and not stats.get(_WARMING.get(name, ""))


def _size(files: GatewayFiles) -> int:
    try:
        return files.log.stat().st_size
    except OSError:
        return 0
