"""The demo's live picture: the split, the evidence, and the requests so far."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from weir.cli.demo_stage import Traffic
from weir.cli.output import escape, out
from weir.document import EndpointDocument
from weir.ports import Platform

REFRESHES_A_SECOND = 4
BAR_WIDTH = 40
COLOURS = ("green", "cyan", "magenta", "yellow")


class LivePicture:
    """Progress lines above, and below them a panel that is drawn anew while the flows run.

    Only looks: it reads the endpoint's document and the traffic's counters. Without a terminal
    nothing is drawn, and the progress lines stay.
    """

    def __init__(self, platform: Platform, endpoint: str, traffic: Traffic) -> None:
        self._platform = platform
        self._endpoint = endpoint
        self._traffic = traffic
        self.console: Console = out
        self._live = Live(
            get_renderable=self._draw,
            console=out,
            refresh_per_second=REFRESHES_A_SECOND,
            transient=True,
            auto_refresh=out.is_terminal,
        )

    def __enter__(self) -> Self:
        if out.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if out.is_terminal:
            self._live.stop()

    def heading(self, words: str) -> None:
        self.console.print(f"\n[bold]{escape(words)}[/]")

    def _draw(self) -> RenderableType:
        document = self._platform.state.read(self._endpoint)
        if document is None:
            return Text("")
        return Panel(
            Group(_split(document), *_evidence(document), self._requests()),
            title=f"endpoint {self._endpoint}",
            title_align="left",
            width=min(self.console.width, 110),
        )

    def _requests(self) -> RenderableType:
        counts = self._traffic.counts()
        failed = ", ".join(f"{n} {cause}" for cause, n in counts.causes.items())
        return Text(f"requests {counts.requests:,}   failed {failed.replace('_', ' ') or 'none'}")


def _split(document: EndpointDocument) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    split = document.endpoint.split
    for index, version in enumerate(document.endpoint.versions):
        percentile = split.percentile(version.name) if split else 0.0
        role = "control" if version.name == document.endpoint.control else ""
        table.add_row(
            Text(version.name, style="bold"),
            Bar(100, 0, percentile, width=BAR_WIDTH, color=COLOURS[index % len(COLOURS)]),
            f"{percentile:g} %",
            role,
        )
    return table


def _evidence(document: EndpointDocument) -> list[RenderableType]:
    release = document.release
    if release is None or release.decision is None:
        return []
    decision = release.decision
    return [
        *(
            Text(f"{name}: {decision.verdicts[name]}, {found.in_words()}", style="dim")
            for name, found in decision.evidence.items()
        ),
        *(Text(words) for words in decision.words.split("; ")),
    ]
