"""What every adapter of ports.State and ports.Windows does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import endpoint
from tests.fakes.state import FakeState, FakeWindows
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir import holding, process_identity
from weir.document import EndpointDocument, Holder, Release
from weir.errors import StateConflict
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import CONFIG_MAP, name_of
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.windows import KubernetesWindows
from weir.local.state import LocalState
from weir.local.windows import LocalWindows
from weir.ports import State, Windows
from weir.spec.release import ReleaseSpec
from weir.window import Histogram, VersionCounts, Window

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["local", "fake", "kubernetes"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> State:
    stores: dict[str, Callable[[], State]] = {
        "local": lambda: LocalState(tmp_path),
        "fake": FakeState,
        "kubernetes": lambda: KubernetesState(_emptied(request.getfixturevalue("place"))),
    }
    return stores[request.param]()


@pytest.fixture(params=["local", "fake", "kubernetes"])
def windows(request: pytest.FixtureRequest, tmp_path: Path) -> Windows:
    stores: dict[str, Callable[[], Windows]] = {
        "local": lambda: LocalWindows(tmp_path),
        "fake": FakeWindows,
        "kubernetes": lambda: kubernetes_windows(_emptied(request.getfixturevalue("place"))),
    }
    return stores[request.param]()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with at_hand.place() as found:
        yield found


def kubernetes_windows(api: Api) -> KubernetesWindows:
    return KubernetesWindows(api, KubernetesState(api))


def _emptied(place: Place) -> Api:
    """weir's own access to a namespace without documents."""
    left, _ = place.admin.list(CONFIG_MAP, {"app.kubernetes.io/managed-by": "weir"})
    for one in left:
        place.admin.delete(CONFIG_MAP, name_of(one))
    return place.api()


def document(name: str = "fraud") -> EndpointDocument:
    return EndpointDocument(endpoint=endpoint(name).control("v1").treatment("v2", 5).build())


def held_by(holder: Holder | None) -> EndpointDocument:
    spec = ReleaseSpec.model_validate(
        {
            "endpoint": "fraud",
            "version_name": "v2",
            "model": {"name": "fraud", "version": 2, "path": "model.pkl"},
            "inference": {"command": ["serve"]},
        }
    )
    release = Release(id="r1", spec=spec, directory="/", digest="d", started_at=NOON, holder=holder)
    return document().changed(release=release)


def window(number: int) -> Window:
    histogram = Histogram(zero=1, counts={-3: 2, 52: 947})
    counts = VersionCounts(
        requests=950, failures=9, failures_by_class={"timeout": 9}, latency_ms=histogram
    )
    start = NOON + timedelta(seconds=5 * number)
    return Window(
        id=number,
        start=start,
        end=start + timedelta(seconds=5),
        split={"v1": 95.0, "v2": 5.0},
        versions={"v1": counts, "v2": VersionCounts(requests=3)},
    )


def test_an_endpoint_that_was_never_written_has_no_document(state: State):
    assert state.read("fraud") is None
    assert state.endpoints() == ()


def test_what_was_written_is_read_again_with_the_next_revision(state: State):
    written = state.write(document())
    assert written.revision == 1
    assert state.read("fraud") == written
    assert state.write(written).revision == 2


def test_a_release_under_way_is_read_again_as_it_was(state: State):
    written = state.write(held_by(holding.this_process("run", NOON)))
    assert state.read("fraud") == written
    assert written.release == held_by(holding.this_process("run", NOON)).release


def test_a_write_on_an_old_revision_is_refused_and_changes_nothing(state: State):
    first = state.write(document())
    second = state.write(first.changed(previous="v1"))
    with pytest.raises(StateConflict):
        state.write(first)
    assert state.read("fraud") == second


def test_a_second_first_write_is_refused(state: State):
    state.write(document())
    with pytest.raises(StateConflict):
        state.write(document())


def test_a_write_on_a_removed_endpoint_is_refused(state: State):
    written = state.write(document())
    state.remove(written)
    with pytest.raises(StateConflict):
        state.write(written)
    assert state.write(document()).revision == 1


def test_endpoints_are_listed_by_name(state: State):
    state.write(document("fraud"))
    state.write(document("churn"))
    assert state.endpoints() == ("churn", "fraud")


def test_removing_twice_is_removing_once(state: State):
    written = state.write(document())
    state.remove(written)
    state.remove(written)
    assert state.read("fraud") is None
    assert state.endpoints() == ()


def test_removing_on_an_old_revision_is_refused_and_removes_nothing(state: State):
    first = state.write(document())
    second = state.write(first.changed(previous="v1"))
    with pytest.raises(StateConflict):
        state.remove(first)
    assert state.read("fraud") == second


def test_this_process_is_alive(state: State):
    assert state.is_alive(holding.this_process("", NOON), NOON)


def test_a_process_that_has_ended_is_not_alive(state: State):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    holder = holding.this_process("", NOON).model_copy(update={"pid": ended.pid})
    assert not state.is_alive(holder, NOON)


def test_a_pid_that_was_given_to_another_process_is_not_the_holder(state: State):
    holder = holding.this_process("", NOON)
    earlier = holder.model_copy(update={"process_started_at": holder.process_started_at - 60})
    assert earlier.pid == os.getpid()
    assert not state.is_alive(earlier, NOON)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Holder:
    """This process, on a machine that has a name of its own."""
    monkeypatch.setattr(process_identity, "machine", lambda: "this machine")
    monkeypatch.setattr(process_identity, "boot", lambda: "this boot")
    return holding.this_process("", NOON)


def test_a_process_of_an_earlier_boot_of_this_machine_is_not_the_holder(state: State, here: Holder):
    earlier = here.model_copy(update={"boot": "another"})
    assert not state.is_alive(earlier, NOON)
    assert not holding.same_process(earlier, here)


ELSEWHERE: dict[str, dict[str, object]] = {
    "another host": {"host": "elsewhere"},
    "another machine of the same name": {"machine": "another", "boot": "another"},
    "a container of the same name elsewhere": {"machine": "", "boot": "another"},
    "a container of the same name here": {"machine": "", "pid_namespace": "another"},
    "written by an older weir": {"machine": "", "boot": "another", "pid_namespace": ""},
    "a boot that has no name": {"boot": ""},
}


@pytest.mark.parametrize("difference", ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize(("seconds", "alive"), [(0, True), (99, True), (100, False), (3600, False)])
def test_a_holder_whose_pid_means_nothing_here_lives_by_its_heartbeat(
    state: State, here: Holder, difference: dict[str, object], seconds: int, alive: bool
):
    there = here.model_copy(update={"pid": 2**22 + 1, **difference})
    beaten = holding.beating(there, NOON + timedelta(seconds=100))
    now = NOON + timedelta(seconds=100 + seconds)
    assert not holding.is_here(beaten)
    assert state.is_alive(beaten, now) is alive


def test_neither_of_two_machines_without_a_name_for_their_boot_is_taken_for_the_other(
    state: State, here: Holder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(process_identity, "boot", lambda: "")
    there = holding.this_process("", NOON).model_copy(update={"pid": 2**22 + 1})
    assert state.is_alive(there, NOON)


def test_a_holder_that_an_older_weir_has_written_is_read(state: State):
    text = held_by(holding.this_process("", NOON)).model_dump_json()
    content = json.loads(text)
    for name in ("machine", "pid_namespace"):
        del content["release"]["holder"][name]
    written = state.write(EndpointDocument.model_validate(content))
    assert written.release is not None
    assert written.release.holder is not None
    assert written.release.holder.machine == ""


def test_a_process_recognises_itself_whenever_it_looks():
    one = holding.this_process("", NOON)
    later = holding.this_process("run", NOON + timedelta(days=1))
    assert holding.same_process(one, later)
    assert not holding.same_process(one, one.model_copy(update={"pid": one.pid + 1}))


def test_windows_are_read_in_the_order_in_which_they_were_appended(windows: Windows):
    for number in (1, 2, 5):
        windows.append("fraud", "r1", window(number))
    assert windows.read("fraud", "r1") == (window(1), window(2), window(5))


def test_a_window_is_recorded_once_however_often_it_is_appended(windows: Windows):
    for number in (1, 2, 2, 1, 3, 3):
        windows.append("fraud", "r1", window(number))
    assert [one.id for one in windows.read("fraud", "r1")] == [1, 2, 3]


def test_every_release_has_a_record_of_its_own(windows: Windows):
    windows.append("fraud", "r1", window(1))
    assert windows.read("fraud", "r2") == ()
    assert windows.read("churn", "r1") == ()
