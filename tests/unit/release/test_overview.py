from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from tests.unit.release.stages import halfway, with_v1
from weir.cli.lookout import _endpoint
from weir.endpoint import Split
from weir.release import steps, transitions
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


@pytest.mark.parametrize(("share", "sentence"), [(25, ""), (6, "v2 was to take 25 % and took 6 %")])
def test_a_share_that_does_not_arrive_is_told(share: float, sentence: str) -> None:
    there = with_v1()
    ledger = halfway(there)
    there.telemetry.arriving = Split.of({"v1": 100 - share, "v2": share})
    observe(there.platform, ledger)
    found = overview(there.platform, ledger.read())
    assert found["arriving"].startswith(sentence)
    assert bool(found["arriving"]) is bool(sentence)
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(_endpoint(found))
    assert ("  shares: v2 was to take" in console.export_text()) is bool(sentence)


def test_a_window_from_before_the_split_of_now_tells_nothing_of_it() -> None:
    there = with_v1()
    ledger = halfway(there)
    there.telemetry.arriving = Split.everything_to("v1")
    observe(there.platform, ledger)
    assert overview(there.platform, ledger.read())["arriving"]

    split = ledger.read().endpoint.split
    assert split is not None
    ledger.update(lambda document: transitions.intended(document, Split.everything_to("v1")))
    assert overview(there.platform, ledger.read())["arriving"] == ""
    ledger.update(lambda document: transitions.intended(document, split))
    assert overview(there.platform, ledger.read())["arriving"] == ""
    there.clock.sleep(1)
    steps.apply_split(there.platform, ledger)
    assert overview(there.platform, ledger.read())["arriving"] == ""


def test_an_endpoint_without_a_release_has_no_share_to_tell_of() -> None:
    there = with_v1()
    assert overview(there.platform, there.state.documents["fraud"])["arriving"] == ""
