"""weir up, weir down: the embedded platform of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

from weir.cli.output import complain, err, out
from weir.document import Holder
from weir.errors import TemporaryError, WeirError
from weir.holding import is_here
from weir.local.home import default_home
from weir.local.platform import local_platform
from weir.local.server import (
    ServerAddress,
    await_server,
    ensure_pool,
    start_worker,
    want_server,
    wants_worker,
)
from weir.local.supervisor import stop_everything
from weir.ports import Platform
from weir.release.documents import readable

GATEWAY_SECONDS = 15.0
LETTING_GO_SECONDS = 20.0
"""How long an interrupted release has to put the traffic back."""


def up(
    port: Annotated[
        int | None,
        typer.Option(help="Port of the Prefect server; 4200 or a free one.", min=1, max=65_535),
    ] = None,
    worker: Annotated[
        bool, typer.Option("--worker", help="Keep a worker as well, for runs from the UI.")
    ] = False,
) -> None:
    """Start the embedded platform, and what ran on it before.

    That is the supervisor, the Prefect server, and the replicas and gateways of every endpoint.
    """
    server = bring_up(port)
    if worker:
        with out.status("starting a worker for the pool weir"):
            start_worker(default_home(), server)
        out.print("worker       weir-local, pool weir")
    troubles = _await_gateways(local_platform())
    out.print("\nEnd it with: weir down")
    for trouble in troubles:
        complain(trouble)
    sys.exit(1 if troubles else 0)


def bring_up(
    port: int | None = None, while_it_starts: Callable[[], None] | None = None
) -> ServerAddress:
    """Supervisor and server are up and ready; says where.

    ``while_it_starts`` is done meanwhile: the server takes its time, above all the first time.
    """
    home = default_home()
    local_platform(home).clusters.ensure()
    out.print(f"home         {home}")
    want_server(home, port)
    if while_it_starts is not None:
        with out.status("making the models to release"):
            while_it_starts()
    with out.status("starting the Prefect server (the first time takes longest)"):
        server = await_server(home)
        ensure_pool(server)
        if wants_worker(home):
            # Where the server is now, it may not have been when the worker was started.
            start_worker(home, server)
    out.print(f"Prefect UI   {server.ui}")
    out.print(f"Prefect API  export PREFECT_API_URL={server.api}")
    return server


def _await_gateways(platform: Platform) -> list[WeirError]:
    """Every gateway that ran before serves again; an error for each that does not."""
    deadline = time.monotonic() + GATEWAY_SECONDS
    waiting = platform.state.endpoints()
    with out.status("starting what ran before"):
        while waiting and time.monotonic() < deadline:
            waiting = tuple(name for name in waiting if platform.traffic.trouble(name))
            time.sleep(0.1 if waiting else 0.0)
    return [
        TemporaryError(
            "gateway.not_ready",
            f"its gateway does not serve: {trouble}.",
            remedy="weir tries again and again; end what has its port, then see weir status.",
            where=f"endpoint {name}",
        )
        for name in waiting
        if (trouble := platform.traffic.trouble(name))
    ]


def down() -> None:
    """End every process that weir started, and only those."""
    for endpoint in _end_releases(local_platform()):
        out.print(f"{endpoint}: its release was interrupted; weir resume {endpoint} goes on")
    with out.status("draining and stopping"):
        ended = stop_everything(default_home())
    if ended:
        processes = "process" if len(ended) == 1 else "processes"
        out.print(f"ended {len(ended)} {processes}: {', '.join(sorted(ended))}")
        out.print("weir up starts them again; state and models are kept")
    else:
        out.print("nothing was running")


def _end_releases(platform: Platform) -> list[str]:
    """Interrupt the releases under way, as Ctrl-C does; returns their endpoints.

    A run that went on would start again what has just been ended.
    """
    interrupted = []
    for document in readable(platform, err.print):
        holder = document.release.holder if document.release else None
        if holder is None or not is_here(holder):
            continue
        if not platform.state.is_alive(holder, platform.clock.now()):
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder.pid, signal.SIGTERM)
        interrupted.append(document.endpoint.name)
        _await_end(platform, holder)
    return interrupted


def _await_end(platform: Platform, holder: Holder) -> None:
    deadline = time.monotonic() + LETTING_GO_SECONDS
    while time.monotonic() < deadline:
        if not platform.state.is_alive(holder, platform.clock.now()):
            return
        time.sleep(0.1)
