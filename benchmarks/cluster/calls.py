"""Calls of whole releases, of a split change, of waiting and of looking."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cluster.server_counter import ServerCounter
from benchmarks.cluster.stage import Calls, Stage, content, loaded, row, stage
from tests import story
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.document import Outcome
from weir.endpoint import Split
from weir.kubernetes.kinds import DEPLOYMENT, name_of
from weir.kubernetes.version_manifests import dependents
from weir.release.ledger import Ledger
from weir.release.overview import overview
from weir.release.planning import plan_release
from weir.release.transitions import version_of
from weir.rollout import Action

ENDPOINT = "fraud"
GOAL_RELEASE = 60
GOAL_SPLIT = 3
READY_AFTER = "weir.test/ready-after"
SLOW_START = "20s"


def rows() -> Iterator[str]:
    with at_hand.place() as place:
        with ServerCounter(place) as server:
            yield from _releases(place, server)
        yield from _looking(place)
        yield from _waiting(place)


def _releases(place: Place, server: ServerCounter) -> Iterator[str]:
    for version, failing, outcome in (
        ("v1", {}, Outcome.PROMOTED),
        ("v2", {}, Outcome.PROMOTED),
        ("v3", {"v3": 0.3}, Outcome.ROLLED_BACK),
    ):
        here = stage(place, **failing)
        windows = _Windows(here)
        before = server.count()
        with here.counting() as calls:
            past = story.release(here.platform, loaded(ENDPOINT, version), on_window=windows.take)
        assert past.outcome is outcome, past
        what = {
            "v1": "a first release",
            "v2": f"a release through 5, 25, 50, 100 %, {windows.count} decisions",
            "v3": f"a release that is rolled back, {windows.count} decisions",
        }[version]
        yield row(what, calls, f"<= {GOAL_RELEASE} calls")
        yield row(f"{what}: by the API server's own count", server.count() - before, "the same")
        if windows.holds:
            held = ", ".join(map(str, windows.holds))
            yield row("of it for a window after which nothing changes", held, "")
        if windows.shifts:
            shifts = ", ".join(map(str, windows.shifts))
            yield row("of it for a split change and the window after it", shifts, "")


class _Windows:
    """Calls from one decision to the next, apart for those that change the split."""

    def __init__(self, here: Stage) -> None:
        self._here = here
        self._last: tuple[int, bool] | None = None
        self.count = 0
        self.holds: list[int] = []
        self.shifts: list[int] = []

    def take(self, ledger: Ledger) -> None:
        now = self._here.api.calls.total()
        if self._last is not None:
            before, has_changed = self._last
            (self.shifts if has_changed else self.holds).append(now - before)
        decision = ledger.release().decision
        assert decision is not None
        self._last = (self._here.api.calls.total(), decision.action is not Action.HOLD)
        self.count += 1


def _looking(place: Place) -> Iterator[str]:
    """v1 and v2 stand; v4 is deployed beside them, so that there are three versions."""
    here = stage(place)
    story.release(here.platform, loaded(ENDPOINT, "v4"), deploy_only=True)
    document = here.platform.state.read(ENDPOINT)
    assert document is not None
    for split in ({"v2": 90, "v4": 10}, {"v2": 80, "v4": 20}, {"v2": 100}):
        wanted = document.endpoint.with_split(Split.of(split))
        with here.counting() as calls:
            here.platform.traffic.apply(wanted)
        yield row(f"a split change, to {wanted.split}", calls, f"<= {GOAL_SPLIT} calls")

    def looking() -> None:
        fresh = here.platform.state.read(ENDPOINT)
        assert fresh is not None
        overview(here.platform, fresh)

    here = stage(place)
    yield row("`weir status`, 3 versions of 1 replica", _counted(here, looking), "")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "release.yaml"
        file.write_text(json.dumps(content(ENDPOINT, "v5")))
        here = stage(place)
        planned = _counted(here, lambda: plan_release(here.platform, file, None, ""))
    yield row("`weir plan` of a new version", planned, "")


def _counted(here: Stage, action: Callable[[], object]) -> Calls:
    with here.counting() as calls:
        action()
    return calls


def _waiting(place: Place) -> Iterator[str]:
    """A version whose pod takes long: an administrator has made its Deployment beforehand."""
    for version, slow in (("w1", ""), ("w2", SLOW_START)):
        here = stage(place)
        wanted = loaded("waiting", version)
        if slow:
            _slow_down(place, wanted.spec.endpoint.name, version)
        began = time.monotonic()
        with here.counting() as calls:
            story.release(here.platform, wanted, deploy_only=version != "w1")
        seconds = time.monotonic() - began
        word = f"ready after {slow}" if slow else "ready at once"
        yield row(f"a version that is {word}, {seconds:.0f} s", calls, "does not poll")


def _slow_down(place: Place, endpoint: str, version: str) -> None:
    release = loaded(endpoint, version)
    made = version_of(release.spec, str(release.spec.inference.image), release.digest)
    manifest = next(
        one for one in dependents(endpoint, made, place.settings) if one["kind"] == DEPLOYMENT.name
    )
    slow = {"annotations": {READY_AFTER: SLOW_START}}
    template = manifest["spec"]["template"]["metadata"]
    template["annotations"] = {**template.get("annotations", {}), **slow["annotations"]}
    place.admin.apply(manifest)
    # Owned by another manager as well, it outlives weir's own apply.
    metadata = {"name": name_of(manifest)}
    spec = {"template": {"metadata": slow}}
    place.admin.apply({**manifest, "metadata": metadata, "spec": spec}, manager="benchmark")
