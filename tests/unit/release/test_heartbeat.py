from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from tests.fakes.state import FakeState
from tests.fakes.world import World, world
from tests.story import loaded, release
from weir.document import EndpointDocument, Holder, OperatorAction, OperatorRequest
from weir.errors import EndpointBusy, StateConflict, TemporaryError, UserError
from weir.holding import this_process
from weir.ports import ClusterStatus, Say, unsaid
from weir.release import beginning, heartbeat, operator, removing, steps, transitions
from weir.release.heartbeat import beating
from weir.release.ledger import Ledger
from weir.release.observing import observe

AT_ONCE = 0.001
PATIENCE_SECONDS = 10.0
NO_ANSWER = TemporaryError("state.no_answer", "no answer.", remedy="Wait.")
CONFLICT = StateConflict("state.conflict", "somebody else wrote.", remedy="Read again.")


class Store(FakeState):
    """Tells when something was done. ``errors`` are raised by the next writes, or the next reads.

    ``meanwhile`` happens before each write but those that it makes itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.writes: list[EndpointDocument] = []
        self.write_errors: list[Exception] = []
        self.read_errors: list[Exception] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self._inside = False
        self.changed = threading.Condition()

    def read(self, endpoint: str, *, fresh: bool = False) -> EndpointDocument | None:
        with self.changed:
            self.reads.append(threading.current_thread().name)
            self.changed.notify_all()
            if self.read_errors and threading.current_thread().name == heartbeat.THREAD:
                raise self.read_errors.pop(0)
        return super().read(endpoint, fresh=fresh)

    def write(self, document: EndpointDocument) -> EndpointDocument:
        if not self._inside:
            self._inside = True
            self.meanwhile()
            self._inside = False
        with self.changed:
            if self.write_errors:
                raise self.write_errors.pop(0)
            written = super().write(document)
            self.writes.append(written)
            self.changed.notify_all()
        return written

    def await_beat(self, there: World) -> None:
        now = there.clock.now()
        with self.changed:
            assert self.changed.wait_for(
                lambda: bool(self.writes) and self.holder().heartbeat_at == now, PATIENCE_SECONDS
            )

    def await_looks(self, count: int) -> None:
        """Until the heartbeat has read ``count`` times more."""
        with self.changed:
            wanted = self.reads.count(heartbeat.THREAD) + count
            assert self.changed.wait_for(
                lambda: self.reads.count(heartbeat.THREAD) >= wanted, PATIENCE_SECONDS
            )

    def holder(self) -> Holder:
        running = self.documents["fraud"].release
        assert running is not None
        assert running.holder is not None
        return running.holder


def hearts() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == heartbeat.THREAD]


def await_end() -> None:
    for thread in hearts():
        thread.join(PATIENCE_SECONDS)
    assert hearts() == []


@pytest.fixture(autouse=True)
def _nothing_beats_after_a_test() -> Iterator[None]:
    yield
    await_end()


@pytest.fixture
def there() -> World:
    return with_store(world())


def with_store(there: World) -> World:
    store = Store()
    there.state, there.platform = store, replace(there.platform, state=store)
    return there


def store_of(there: World) -> Store:
    assert isinstance(there.state, Store)
    return there.state


def once(store: Store, meanwhile: Callable[[], object]) -> None:
    """``meanwhile`` happens before the next write only."""
    left = [meanwhile]
    store.meanwhile = lambda: left.pop()() if left else None


def elsewhere(there: World, pid: int = 1) -> Holder:
    here = this_process("", there.clock.now())
    return here.model_copy(update={"host": "elsewhere", "pid": pid})


def begun(there: World) -> Ledger:
    """A release of v1 that a process on another host has just begun."""
    ledger = beginning.begin(there.platform, loaded("v1"), elsewhere(there)).ledger
    assert ledger is not None
    return ledger


def test_a_beat_renews_the_heartbeat_and_nothing_else(there: World) -> None:
    ledger = begun(there)
    before = ledger.read()
    there.clock.sleep(40)
    with beating(there.platform, ledger, every_seconds=AT_ONCE):
        store_of(there).await_beat(there)
    after = ledger.read()
    assert after.release is not None
    assert before.release is not None
    assert after.release.changed(holder=before.release.holder) == before.release
    assert after.changed(release=None, revision=0) == before.changed(release=None, revision=0)


def test_the_first_beat_is_not_at_once(there: World) -> None:
    ledger = begun(there)
    there.clock.sleep(40)
    with beating(there.platform, ledger):
        assert len(hearts()) == 1
    assert hearts() == []
    assert len(store_of(there).writes) == 1


def _taken_over(there: World, ledger: Ledger) -> None:
    beginning.seize(there.platform, "fraud", elsewhere(there, pid=2))


def _let_go(there: World, ledger: Ledger) -> None:
    ledger.update(transitions.left)


def _removed(there: World, ledger: Ledger) -> None:
    there.state.remove(ledger.read())


@pytest.mark.parametrize("lose", [_taken_over, _let_go, _removed])
def test_who_has_lost_the_hold_writes_nothing_and_stops(
    there: World, lose: Callable[[World, Ledger], None]
) -> None:
    ledger = begun(there)
    lose(there, ledger)
    written = len(store_of(there).writes)
    there.clock.sleep(40)
    with beating(there.platform, ledger, every_seconds=AT_ONCE):
        await_end()
    assert len(store_of(there).writes) == written


def test_a_take_over_ends_a_heart_that_beats(there: World) -> None:
    ledger = begun(there)
    with beating(there.platform, ledger, every_seconds=AT_ONCE):
        there.clock.sleep(40)
        store_of(there).await_beat(there)
        _taken_over(there, ledger)
        there.clock.sleep(40)
        await_end()
    assert store_of(there).holder().pid == 2
    assert store_of(there).holder().heartbeat_at < there.clock.now()


@pytest.mark.parametrize("error", [CONFLICT, NO_ANSWER])
def test_a_beat_that_failed_is_made_up_for(there: World, error: TemporaryError) -> None:
    ledger, store = begun(there), store_of(there)
    store.write_errors = [error] * 3
    store.read_errors = [NO_ANSWER] * 3
    there.clock.sleep(40)
    with beating(there.platform, ledger, every_seconds=AT_ONCE):
        store.await_beat(there)
    assert (store.write_errors, store.read_errors) == ([], [])


def test_a_full_disk_is_waited_out(there: World) -> None:
    ledger, store = begun(there), store_of(there)
    store.full = True
    there.clock.sleep(40)
    with beating(there.platform, ledger, every_seconds=AT_ONCE):
        store.await_looks(3)
        store.full = False
        store.await_beat(there)


def test_what_a_person_asks_during_a_beat_is_kept(there: World) -> None:
    ledger, store = begun(there), store_of(there)
    request = OperatorRequest(
        id="1", action=OperatorAction.ROLL_BACK, by="ada", at=there.clock.now()
    )
    once(
        store,
        lambda: operator.write(
            there.platform, "fraud", lambda document: transitions.asked(document, request)
        ),
    )
    there.clock.sleep(40)
    with beating(there.platform, ledger, every_seconds=AT_ONCE):
        store.await_beat(there)
    assert ledger.release().requests == (request,)


def test_a_beat_that_the_store_held_up_is_not_written_after_the_block(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "LAST_BEAT_SECONDS", AT_ONCE)
    ledger, store = begun(there), store_of(there)
    reached, goes_on = threading.Event(), threading.Event()
    read = store.read

    def slow(endpoint: str, *, fresh: bool = False) -> EndpointDocument | None:
        if threading.current_thread().name == heartbeat.THREAD:
            reached.set()
            assert goes_on.wait(PATIENCE_SECONDS)
        return read(endpoint, fresh=fresh)

    vars(store)["read"] = slow
    there.clock.sleep(40)
    with beating(there.platform, ledger, every_seconds=AT_ONCE):
        assert reached.wait(PATIENCE_SECONDS)
    assert len(hearts()) == 1
    goes_on.set()
    await_end()
    assert len(store.writes) == 1


def test_the_block_ends_the_heart_also_with_an_error(there: World) -> None:
    with pytest.raises(KeyboardInterrupt), beating(there.platform, begun(there)):
        raise KeyboardInterrupt
    assert hearts() == []


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
