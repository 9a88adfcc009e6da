"""The heart of a release that is held: when it beats, and when it stops."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.beating import (
    AT_ONCE,
    CONFLICT,
    NO_ANSWER,
    PATIENCE_SECONDS,
    await_end,
    begun,
    elsewhere,
    hearts,
    once,
    store_of,
)
from tests.fakes.world import World
from weir.document import EndpointDocument, OperatorAction, OperatorRequest
from weir.errors import TemporaryError
from weir.release import beginning, heartbeat, operator, transitions
from weir.release.heartbeat import beating
from weir.release.ledger import Ledger

pytestmark = pytest.mark.usefixtures("nothing_beats_after_a_test")


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
