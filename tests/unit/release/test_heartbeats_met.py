"""What a release, a take-over and a removal make of beats that come in between."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from tests.beating import (
    AT_ONCE,
    PATIENCE_SECONDS,
    begun,
    elsewhere,
    hearts,
    once,
    store_of,
    with_store,
)
from tests.fakes.world import World, world
from tests.story import loaded, release
from weir.errors import EndpointBusy, UserError
from weir.ports import ClusterStatus, Say, unsaid
from weir.release import beginning, heartbeat, removing, steps, transitions
from weir.release.heartbeat import beating
from weir.release.ledger import Ledger
from weir.release.observing import observe

pytestmark = pytest.mark.usefixtures("nothing_beats_after_a_test")


@pytest.mark.parametrize("beats", [True, False])
def test_a_holder_of_another_host_that_provisions_for_ten_minutes(
    there: World, beats: bool
) -> None:
    ledger, store = begun(there), store_of(there)
    alive: list[bool] = []

    class Slow:
        def status(self) -> ClusterStatus:
            return ClusterStatus("slow", ready=True)

        def ensure(self, say: Say = unsaid) -> ClusterStatus:
            for _ in range(20):
                there.clock.sleep(30)
                alive.append(store.is_alive(store.holder(), there.clock.now()))
                if beats:
                    store.await_beat(there)
            return self.status()

    platform = replace(there.platform, clusters=Slow())
    every_seconds = AT_ONCE if beats else heartbeat.BEAT_SECONDS
    with beating(platform, ledger, every_seconds=every_seconds):
        steps.provision(platform, ledger)
    assert alive == ([True] * 20 if beats else [True] * 3 + [False] * 17)


def beat_before_every_write(there: World) -> None:
    """Each write of a release comes second to a heartbeat, and is made anew."""
    tries = itertools.count()

    def beat() -> None:
        document = there.state.documents.get("fraud")
        running = document.release if document else None
        if running is None or running.holder is None or next(tries) % 2:
            return
        later = max(running.holder.heartbeat_at, there.clock.now()) + timedelta(microseconds=1)
        Ledger(there.state, "fraud", running.holder).update(
            lambda document: transitions.alive(document, later)
        )

    store_of(there).meanwhile = beat


@pytest.mark.parametrize("failing", [0, 0.5])
def test_a_release_whose_every_write_meets_a_beat_goes_as_without(failing: float) -> None:
    calm, beaten = world(v2=failing), with_store(world(v2=failing))
    beat_before_every_write(beaten)
    ends = []
    for there in (calm, beaten):
        release(there.platform, loaded("v1"))
        past = release(there.platform, loaded("v2"))
        windows = there.windows.read("fraud", past.id)
        assert [window.id for window in windows] == list(range(1, len(windows) + 1))
        document = there.state.documents["fraud"]
        history = [one.changed(id="") for one in document.history]
        ends.append((windows, history, document.changed(history=(), revision=0)))
    assert ends[0] == ends[1]
    assert len(store_of(beaten).writes) > 20


def test_a_window_that_is_recorded_does_not_set_a_later_heartbeat_back() -> None:
    there = with_store(world())
    release(there.platform, loaded("v1"))
    ledger = beginning.begin(there.platform, loaded("v2"), elsewhere(there)).ledger
    assert ledger is not None
    for step in (steps.provision, steps.build, steps.deploy, steps.await_ready):
        step(there.platform, ledger)
    steps.start_rollout(there.platform, ledger)

    def beat() -> None:
        # The writer has taken its time before.
        there.clock.sleep(30)
        ledger.update(lambda document: transitions.alive(document, there.clock.now()))

    once(store_of(there), beat)
    observe(there.platform, ledger)
    assert store_of(there).holder().heartbeat_at == there.clock.now()


def test_a_take_over_that_meets_a_late_beat_is_refused(there: World) -> None:
    ledger, store = begun(there), store_of(there)
    there.clock.sleep(200)
    assert not store.is_alive(store.holder(), there.clock.now())
    once(
        store,
        lambda: ledger.update(lambda document: transitions.alive(document, there.clock.now())),
    )
    with pytest.raises(EndpointBusy):
        beginning.take_over(there.platform, "fraud", elsewhere(there, pid=2), unpause=False)
    assert store.holder().pid == 1


def test_a_removal_that_meets_a_late_beat_ends(there: World) -> None:
    ledger = begun(there)
    there.clock.sleep(200)

    class Late:
        def __getattr__(self, name: str) -> object:
            return getattr(there.traffic, name)

        def remove(self, endpoint: str) -> None:
            there.traffic.remove(endpoint)
            there.clock.sleep(1)
            ledger.update(lambda document: transitions.alive(document, there.clock.now()))

    removing.remove_endpoint(replace(there.platform, traffic=Late()), "fraud")
    assert there.state.documents == {}
    with pytest.raises(UserError):
        ledger.release()


def test_a_removal_whose_document_another_removes_by_now_is_told(there: World) -> None:
    begun(there)
    there.clock.sleep(200)

    class Another:
        def __getattr__(self, name: str) -> object:
            return getattr(there.traffic, name)

        def remove(self, endpoint: str) -> None:
            document = there.state.documents["fraud"]
            assert document.removal is not None
            removal = document.removal.changed(holder=elsewhere(there, pid=3))
            there.state.write(document.changed(removal=removal))

    with pytest.raises(EndpointBusy) as caught:
        removing.remove_endpoint(replace(there.platform, traffic=Another()), "fraud")
    assert caught.value.reason == "removal.hold_lost"
    assert "fraud" in there.state.documents


@pytest.mark.parametrize("version", [None, "v2"])
def test_a_removal_that_drains_for_ten_minutes_stays_alive_to_other_hosts(
    there: World, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "beating", partial(beating, every_seconds=AT_ONCE))
    monkeypatch.setattr(removing, "this_process", lambda _, now: elsewhere(there))
    release(there.platform, loaded("v1"))
    release(there.platform, loaded("v2"), deploy_only=True)
    store = store_of(there)
    refused: list[str] = []

    def has_beaten() -> bool:
        removal = there.state.documents["fraud"].removal
        assert removal is not None
        return removal.holder.heartbeat_at == there.clock.now()

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(there.workloads, name)

        def remove(self, endpoint: str, version: str) -> None:
            for _ in range(20):
                there.clock.sleep(30)
                with store.changed:
                    assert store.changed.wait_for(has_beaten, PATIENCE_SECONDS)
                with pytest.raises(EndpointBusy) as caught:
                    beginning.begin(there.platform, loaded("v3"), elsewhere(there, pid=2))
                refused.append(caught.value.reason)
            there.workloads.remove(endpoint, version)

    platform = replace(there.platform, workloads=Slow())
    if version is None:
        removing.remove_endpoint(platform, "fraud")
        assert there.state.documents == {}
    else:
        removing.remove_version(platform, "fraud", version)
        assert there.state.documents["fraud"].removal is None
        assert there.workloads.versions("fraud") == ("v1",)
    assert set(refused) == {"endpoint.busy"}
    assert hearts() == []
