"""Heartbeats of a release: a store that tells when it was read and written, and who holds what."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from tests.fakes.state import FakeState
from tests.fakes.world import World
from tests.story import loaded
from weir.document import EndpointDocument, Holder
from weir.errors import StateConflict, TemporaryError
from weir.holding import this_process
from weir.release import beginning, heartbeat
from weir.release.ledger import Ledger

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
