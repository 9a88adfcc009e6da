"""weir demo: three releases of examples/fraud under live traffic, through the same flows."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from weir.cli import demo_stage
from weir.cli.demo_picture import LivePicture
from weir.cli.output import err, escape, out
from weir.cli.platform import bring_up
from weir.cli.runs import run_release
from weir.document import EndpointDocument, Outcome
from weir.errors import UserError
from weir.local.home import default_home
from weir.local.platform import local_platform
from weir.local.server import ServerAddress
from weir.local.traffic_counts import TrafficCounts
from weir.ports import Platform
from weir.release import operator, removing

ENDPOINT = "fraud"
EXAMPLE = Path(__file__).parents[2] / "examples" / "fraud"
EXPECTED = (("v1", "Promoted"), ("v2", "Promoted"), ("v3", "RolledBack"))


@dataclass(frozen=True)
class Played:
    """One release of the demo: what it came to, and how long it took."""

    version: str
    state: str
    seconds: float


def demo() -> None:
    """Release good and bad model versions under live traffic."""
    if not EXAMPLE.is_dir():
        raise UserError(
            "demo.no_examples",
            "the sample releases are not there.",
            remedy="Run the demo from a clone of the repository: make demo.",
            where=str(EXAMPLE),
        )
    started = time.monotonic()
    platform = local_platform()
    _clear_stage(platform)
    server = bring_up(while_it_starts=lambda: demo_stage.make_models(EXAMPLE))
    played, traffic = _play(platform)
    document = operator.read(platform, ENDPOINT)
    good = demo_stage.went_as_told(
        document, traffic.counts(), [(release.version, release.state) for release in played]
    )
    _sum_up(document, server, played, traffic, time.monotonic() - started)
    sys.exit(0 if good else 1)


def sample(counts: TrafficCounts, cause: str) -> str:
    """What the first failure of this cause said."""
    return escape(counts.samples.get(cause, ""))


def _clear_stage(platform: Platform) -> None:
    """An endpoint that an earlier demo left is removed; one of the user's own is not touched."""
    document = platform.state.read(ENDPOINT)
    if document is None:
        return
    if not demo_stage.is_ours(document, EXAMPLE):
        raise UserError(
            "demo.endpoint_exists",
            f"there is an endpoint {ENDPOINT} that the demo did not make.",
            remedy="Run the demo beside it: WEIR_HOME=~/.weir-demo make demo.",
            where=f"endpoint {ENDPOINT} in {default_home()}",
        )
    with out.status("removing what the last demo left"):
        removing.remove_endpoint(platform, ENDPOINT)


def _play(platform: Platform) -> tuple[list[Played], demo_stage.Traffic]:
    traffic = demo_stage.Traffic(platform, ENDPOINT, EXAMPLE / "build" / "requests.ndjson")
    played: list[Played] = []
    with LivePicture(platform, ENDPOINT, traffic) as picture:
        try:
            for version, expected in EXPECTED:
                picture.heading(f"weir release examples/fraud/release-{version}.yaml")
                began = time.monotonic()
                state = run_release(EXAMPLE / f"release-{version}.yaml", pictured=True)
                played.append(Played(version, state, time.monotonic() - began))
                if version == EXPECTED[0][0]:
                    traffic.start()
                    picture.heading("traffic: rows of a real data set, from now to the end")
                if state != expected:
                    break
        finally:
            traffic.stop()
    return played, traffic


def _sum_up(
    document: EndpointDocument,
    server: ServerAddress,
    played: list[Played],
    traffic: demo_stage.Traffic,
    seconds: float,
) -> None:
    counts = traffic.counts()
    out.rule("[bold]what happened[/]", align="left")
    for past in document.history:
        mark = "[green]✔[/]" if past.outcome is Outcome.PROMOTED else "[yellow]↩[/]"
        words = past.outcome.value.replace("_", " ")
        out.print(f"{mark} [bold]{past.version} {words}[/]: {escape(past.words)}")
    out.print(f"  requests sent: {counts.requests:,}, failed: {counts.failed:,}")
    for version, seen in counts.versions.items():
        for cause, count in seen.causes.items():
            out.print(
                f"    {count:,} by {version}, {cause.replace('_', ' ')}: {sample(counts, cause)}"
            )
    ours = demo_stage.failures_of_ours(counts)
    out.print(f"  requests failed by deploying, shifting or rolling back: {ours}")
    out.print(f"  traffic now: {document.endpoint.split}   ({seconds:.0f} s in all)")
    missing = EXPECTED[len(played) :]
    if missing:
        err.print(f"[red]the demo stopped before {', '.join(name for name, _ in missing)}[/]")
    out.rule("[bold]where to look next[/]", align="left")
    places = {
        "weir status fraud": "what is there now",
        server.ui: "every run in Prefect's UI",
        f"{default_home()}/endpoints/fraud": "state, windows, access log",
        "examples/fraud": "the release files and the models",
        "weir down": "end everything that was started",
    }
    width = max(map(len, places))
    for place, what in places.items():
        out.print(f"  {place:<{width}}  {what}")
