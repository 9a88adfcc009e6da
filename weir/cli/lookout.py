"""weir status, weir logs: what is there, and how it does."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from weir.cli.opening import LOCAL, OnPlatform, open_platform
from weir.cli.output import escape, out, with_platform
from weir.errors import PermanentError, UserError
from weir.ports import Platform
from weir.release import operator
from weir.release.overview import overview
from weir.spec.text import printable_line, printable_lines

WATCH_SECONDS = 1.0
COLOURS = {"healthy": "green", "degraded": "yellow", "starting": "cyan"}
GO_ON = {
    "paused": "a person paused it",
    "held": "no process works on it, on purpose",
    "abandoned": "its process died",
}

Endpoint = Annotated[str | None, typer.Argument(help="Only this endpoint.", show_default=False)]


def status(
    endpoint: Endpoint = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every second.")] = False,
    platform: OnPlatform = LOCAL,
) -> None:
    """Endpoints, versions, percentiles, health and evidence."""
    chosen = open_platform(platform)
    if as_json:
        while True:
            out.print_json(json.dumps(_overviews(chosen, endpoint)))
            if not watch:
                return
            time.sleep(WATCH_SECONDS)
    if not watch:
        found = _overviews(chosen, endpoint)
        out.print(_picture(found))
        if found and platform == LOCAL and not chosen.clusters.status().ready:
            out.print("nothing runs on this machine now; weir up starts it again")
        return
    if not out.is_terminal:
        _print_changes(chosen, endpoint)
    with Live(console=out, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            live.update(_picture(_overviews(chosen, endpoint)), refresh=True)
            time.sleep(WATCH_SECONDS)


def _print_changes(platform: Platform, endpoint: str | None) -> NoReturn:
    shown: list[dict[str, Any]] | None = None
    while True:
        found = _overviews(platform, endpoint)
        if found != shown:
            out.print(_picture(found))
            shown = found
        time.sleep(WATCH_SECONDS)


def _overviews(platform: Platform, endpoint: str | None) -> list[dict[str, Any]]:
    names = platform.state.endpoints()
    if endpoint is not None:
        return [overview(platform, operator.read(platform, endpoint))]
    return [found for name in names if (found := _overview(platform, name)) is not None]


def _overview(platform: Platform, name: str) -> dict[str, Any] | None:
    """One of several: what is wrong with its state must not hide the others."""
    try:
        document = platform.state.read(name)
    except PermanentError as error:
        return {"endpoint": name, "error": str(error)}
    return None if document is None else overview(platform, document)


def _picture(endpoints: list[dict[str, Any]]) -> RenderableType:
    if not endpoints:
        return _words("no endpoints yet; weir release FILE makes one, weir demo shows how")
    return Group(*(_endpoint(found) for found in endpoints))


def _words(text: str, style: str = "") -> Text:
    """What may come from a cluster or from a log; commands in it are for the platform shown."""
    return Text(with_platform(printable_lines(text)), style=style)


def _endpoint(found: dict[str, Any]) -> RenderableType:
    if "error" in found:
        return _words(f"endpoint {found['endpoint']}: {found['error']}", style="red")
    table = Table(
        title=_words(f"endpoint {found['endpoint']}   {found['scoring_uri'] or 'no gateway'}"),
        title_justify="left",
        title_style="bold",
    )
    for column in ("version", "role", "traffic", "health", "replicas", "restarts", "model"):
        table.add_column(column)
    for version in found["versions"]:
        health = version["health"]
        table.add_row(
            version["name"],
            version["role"],
            f"{found['split'].get(version['name'], 0):g} %",
            Text(health, style=COLOURS.get(health, "red")),
            f"{version['replicas_ready']}/{version['replicas']}",
            str(version["restarts"]),
            version["model"],
        )
    lines: list[RenderableType] = [table]
    if found["gateway_trouble"]:
        lines.append(_words(f"  gateway: {found['gateway_trouble']}", style="red"))
    if found["wanted_split"] and found["split"] != found["wanted_split"]:
        lines.append(_words(f"  on its way to {_split(found['wanted_split'])}", style="yellow"))
    if found["arriving"]:
        lines.append(_words(f"  shares: {found['arriving']}", style="yellow"))
    lines += [
        _words(f"  {version['name']}: {version['message']}", style="red")
        for version in found["versions"]
        if version["message"] and version["health"] != "healthy"
    ]
    if found["release"]:
        lines += _release(found["endpoint"], found["release"])
    elif found["history"]:
        last = found["history"][-1]
        lines.append(
            _words(f"  last: {last['version']} {last['outcome'].replace('_', ' ')}: {_short(last)}")
        )
    return Group(*lines)


def _short(past: dict[str, Any]) -> str:
    """The first line of how a release ended; what follows are lines of a log."""
    first, *more = past["words"].splitlines() or [""]
    return f"{first} ({len(more)} more lines: weir status --json)" if more else str(first)


def _split(percentiles: dict[str, float]) -> str:
    return ", ".join(f"{name} {percentile:g} %" for name, percentile in percentiles.items())


def _release(endpoint: str, release: dict[str, Any]) -> list[RenderableType]:
    held = f", held by {release['held_by']}" if release["held_by"] else ""
    lines: list[RenderableType] = [
        _words(f"  release of {release['version']}: {release['phase']}, {release['state']}{held}")
    ]
    if release["state"] in GO_ON:
        why = GO_ON[release["state"]]
        lines.append(
            _words(f"  {why}; weir resume {endpoint} goes on, weir rollback {endpoint} ends it")
        )
    decision = release["decision"]
    if decision:
        action = decision["action"].replace("_", " ")
        lines.append(_words(f"  {action}: {decision['words']}"))
        for name, verdict in decision["verdicts"].items():
            evidence = decision["evidence"].get(name, {})
            lines.append(
                _words(
                    f"    {name}: {verdict}, evidence of harm"
                    f" 10^{evidence.get('log10_e_harm', 0):.1f},"
                    f" of safety 10^{evidence.get('log10_e_safe', 0):.1f}"
                )
            )
        if decision["next_step"]:
            lines.append(_words(f"  next: {decision['next_step']['words']}"))
    return lines


def logs(
    endpoint: Annotated[str, typer.Argument(help="Name of the endpoint.")],
    version: Annotated[
        str | None, typer.Argument(help="A version, or gateway; every version when left out.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Last lines of each.")] = 20,
    platform: OnPlatform = LOCAL,
) -> None:
    """The last lines that each replica wrote."""
    chosen = open_platform(platform)
    document = operator.read(chosen, endpoint)
    known = [present.name for present in document.endpoint.versions]
    for name in [version] if version else known:
        found = chosen.workloads.logs(endpoint, name, lines)
        if not found:
            raise _no_log(endpoint, name, known, keeps=chosen.name == LOCAL)
        for replica, written in found.items():
            out.print(f"[bold]{escape(printable_line(replica))}[/]")
            for line in written:
                # What it says of weir's commands is its own.
                out.print(Text(f"  {printable_line(line)}"))


def _no_log(endpoint: str, version: str, known: list[str], *, keeps: bool) -> UserError:
    """``keeps`` is whether the platform keeps the log of a version that it has removed."""
    gone = "" if keeps or version in known else ", or was removed and its log went with its pods"
    there = f"; the versions are {', '.join(known)}" if known else ""
    return UserError(
        "logs.none",
        f"version {version} has written no log{gone}{there}.",
        remedy=f"weir status {endpoint} shows what runs.",
        where=f"endpoint {endpoint}",
    )
