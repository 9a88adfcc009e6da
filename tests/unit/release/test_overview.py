from __future__ import annotations

import io
import json

from rich.console import Console

from tests.unit.release.stages import halfway, with_v1
from weir.cli.lookout import _endpoint
from weir.release.observing import observe
from weir.release.overview import overview


def test_the_overview_tells_what_the_next_step_waits_for() -> None:
    there = with_v1()
    ledger = halfway(there)
    there.telemetry.requests_per_second = 3
    there.telemetry.failing["v2"] = 0.05
    observe(there.platform, ledger)
    found = json.loads(json.dumps(overview(there.platform, ledger.read())))
    following = found["release"]["decision"]["next_step"]
    assert following.keys() == {"words", "seconds", "requests", "goal"}
    assert following["words"].startswith("for 50 %: ")
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(_endpoint(found))
    assert f"  next: {following['words'][:60]}" in console.export_text()
