"""Envoy's admin interface over its unix socket. Sends and parses; decides nothing."""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

TIMEOUT_SECONDS = 2.0


class AdminUnavailableError(OSError):
    """Envoy does not run, or does not answer on its socket."""


class AdminSilentError(AdminUnavailableError):
    """Envoy is there and did not answer in time: nothing is known of what it does."""


@dataclass(frozen=True)
class Admin:
    """The admin interface behind ``socket_path``. Methods raise AdminUnavailableError."""

    socket_path: Path
    timeout_seconds: float = TIMEOUT_SECONDS

    def stats(self, pattern: str) -> dict[str, Any]:
        """Counters, gauges and texts whose name matches the regular expression."""
        document = self._json("GET", f"/stats?format=json&filter={quote(pattern)}")
        return {s["name"]: s["value"] for s in document.get("stats", ()) if "name" in s}

    def route_configurations(self) -> list[dict[str, Any]]:
        """The route configurations that are in effect; keys are blanked out by Envoy."""
        document = self._json("GET", "/config_dump?resource=dynamic_route_configs")
        return [c["route_config"] for c in document.get("configs", ()) if "route_config" in c]

    def active_requests(self, cluster: str) -> dict[str, int]:
        """Requests that each host of ``cluster`` works on, by address."""
        document = self._json("GET", f"/clusters?format=json&filter={quote(re.escape(cluster))}")
        found = {}
        for status in document.get("cluster_statuses", ()):
            if status.get("name") != cluster:
                continue
            for host in status.get("host_statuses", ()):
                place = host["address"].get("socket_address", {})
                values = {s["name"]: int(s.get("value", 0)) for s in host.get("stats", ())}
                address = f"{place.get('address')}:{place.get('port_value')}"
                found[address] = values.get("rq_active", 0)
        return found

    def reopen_logs(self) -> None:
        self._request("POST", "/reopen_logs")

    def _json(self, method: str, path: str) -> dict[str, Any]:
        try:
            document = json.loads(self._request(method, path))
        except ValueError as error:
            raise AdminUnavailableError(f"the answer to {path} is not JSON") from error
        return document if isinstance(document, dict) else {}

    def _request(self, method: str, path: str) -> bytes:
        connection = _UnixConnection(self.socket_path, self.timeout_seconds)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
        except TimeoutError as error:
            raise AdminSilentError(f"{self.socket_path}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise AdminUnavailableError(f"{self.socket_path}: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise AdminUnavailableError(f"{path} was answered with {response.status}")
        return body


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
