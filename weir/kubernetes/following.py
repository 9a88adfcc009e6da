"""Objects kept up to date by a watch: read at once, and awaited instead of polled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from weir.errors import TemporaryError, WeirError
from weir.kubernetes.answers import Gone
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import Kind, Object, name_of, version_number

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_LASTING_SECONDS = 1.0
"""A watch that has held for so long is begun again at once."""


class Following:
    """The objects of one kind that match, as the API server tells of them.

    ``seed`` is the only object that matches, read a moment ago: the watch then needs no list of
    its own. Thread and connection end with ``close``, or with the process. A server that goes away
    is waited for as long as ``api`` is patient.
    """

    def __init__(
        self,
        api: Api,
        kind: Kind,
        *,
        labels: Mapping[str, str] | None = None,
        name: str = "",
        seed: Object | None = None,
    ) -> None:
        self._api, self._kind = api, kind
        self._labels = labels
        self._fields = f"metadata.name={name}" if name else ""
        self._objects: dict[str, Object] = {}
        self._changes = 0
        self._told_until = 0
        self._trouble: WeirError | None = None
        self._is_live = False
        self._has_ended = False
        self._end_stream: Callable[[], None] = _nothing
        self._asked_at = time.monotonic()
        self._waiting = 0
        self._changed = threading.Condition()
        version = ""
        if seed is not None:
            self._objects[name_of(seed)] = seed
            version = str(seed["metadata"]["resourceVersion"])
            self._is_live = True
        self._thread = threading.Thread(
            target=self._run, args=(version,), name=f"weir-watch-{kind.plural}", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_live(self) -> bool:
        """Whether the objects are as the server has them, but for what is under way."""
        with self._changed:
            self._asked_at = time.monotonic()
            return self._is_live

    @property
    def is_over(self) -> bool:
        """Whether nothing is told any more: closed, or its thread has died."""
        return self._ended() or not self._thread.is_alive()

    def idle_seconds(self) -> float:
        """How long nobody has asked or waited for anything."""
        with self._changed:
            return 0.0 if self._waiting else time.monotonic() - self._asked_at

    def objects(self) -> tuple[Object, ...]:
        """What there is, once the server has told of it. Raises what keeps it from that."""
        with self._asking():
            while not (self._is_live or self._has_ended):
                if self._trouble is not None:
                    raise self._trouble
                self._changed.wait()
            return tuple(self._objects.values())

    def get(self, name: str) -> Object | None:
        with self._asking():
            return self._objects.get(name)

    def put(self, thing: Object) -> None:
        """What the caller's own call gave; what is older than the known is passed over."""
        with self._changed:
            is_gone = name_of(thing) not in self._objects
            if is_gone and version_number(thing) <= self._told_until:
                return
            self._store(thing)

    def changes(self) -> int:
        """Counts what was seen; for ``wait``."""
        with self._changed:
            return self._changes

    def wait(self, seen: int, timeout_seconds: float) -> int:
        """Return when something has changed since ``changes()`` was ``seen``, or after the time."""
        with self._asking():
            self._changed.wait_for(
                lambda: self._changes != seen or self._has_ended, max(0.0, timeout_seconds)
            )
            return self._changes

    def wait_until(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        """Whether ``condition`` came true within the time, looked at whenever something changes.

        The time begins anew when the server was away: whoever is awaited was cut off as well.
        Raises what keeps it from being followed.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            seen = self.changes()
            if not self.is_live:
                self.objects()
                deadline = time.monotonic() + timeout_seconds
            if condition():
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self._ended():
                return False
            self.wait(seen, remaining)

    def close(self) -> None:
        with self._changed:
            self._has_ended, self._is_live = True, False
            self._changed.notify_all()
            end_stream = self._end_stream
        end_stream()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                yield
            finally:
                self._waiting -= 1
                self._asked_at = time.monotonic()

    def _opened(self, end: Callable[[], None]) -> None:
        with self._changed:
            self._end_stream = end
            has_ended = self._has_ended
        if has_ended:
            end()

    def _run(self, version: str) -> None:
        try:
            self._follow(version)
        finally:
            # Whatever has ended it, nobody may take for the present what is not told any more.
            self._note(self._trouble or self._not_followed(), is_told=True)

    def _follow(self, version: str) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        while not self._ended():
            began = time.monotonic()
            is_well = True
            try:
                if not version:
                    version = self._list()
                for event in self._api.watch(
                    self._kind, version, self._labels, self._fields, opened=self._opened
                ):
                    version = self._take(event) or version
                    pause_seconds = _FIRST_PAUSE_SECONDS
                    if self._ended():
                        return
            except Gone:
                version = ""
            except WeirError as error:
                if self._ended():
                    return
                # What may pass is tried again before anybody is told.
                self._note(error, is_told=not isinstance(error, TemporaryError))
                # What happened meanwhile is told anew.
                version, is_well = "", False
            if time.monotonic() - began > _LASTING_SECONDS:
                pause_seconds = _FIRST_PAUSE_SECONDS
                if is_well:
                    continue
            time.sleep(pause_seconds)
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * pause_seconds)

    def _list(self) -> str:
        try:
            items, version = self._api.list(self._kind, self._labels, self._fields)
        except WeirError as error:
            # The patience with the server is over.
            self._note(error, is_told=True)
            raise
        told_until = int(version) if version.isdigit() else 0
        with self._changed:
            newer = {
                name: thing
                for name, thing in self._objects.items()
                if version_number(thing) > told_until
            }
            self._objects = {name_of(item): item for item in items} | newer
            self._told_until = max(self._told_until, told_until)
            self._is_live, self._trouble = not self._has_ended, None
            self._note_change()
        return version

    def _take(self, event: Object) -> str:
        thing: Object = event["object"]
        kind = event["type"]
        with self._changed:
            self._is_live, self._trouble = not self._has_ended, None
            if kind == "DELETED":
                present = self._objects.get(name_of(thing))
                if present is None or version_number(present) <= version_number(thing):
                    self._objects.pop(name_of(thing), None)
                    self._note_change()
            elif kind in ("ADDED", "MODIFIED"):
                self._store(thing)
            self._told_until = max(self._told_until, version_number(thing))
        return str(thing["metadata"]["resourceVersion"])

    def _store(self, thing: Object) -> None:
        present = self._objects.get(name_of(thing))
        if present is None or version_number(present) <= version_number(thing):
            self._objects[name_of(thing)] = thing
            self._note_change()

    def _note_change(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def _note(self, error: WeirError, *, is_told: bool) -> None:
        """The objects are not up to date; whoever asks for them waits, or is told why."""
        with self._changed:
            self._is_live = False
            if is_told:
                self._trouble = error
            self._note_change()

    def _not_followed(self) -> WeirError:
        return TemporaryError(
            "kubernetes.not_followed",
            f"{self._kind.plural} are not followed any more.",
            remedy="Run again: weir goes on where it was.",
            where=self._api.where,
        )

    def _ended(self) -> bool:
        with self._changed:
            return self._has_ended


def _nothing() -> None:
    pass
