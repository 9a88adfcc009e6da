"""State in memory."""

from __future__ import annotations

import threading
from datetime import datetime

from weir import holding
from weir.document import EndpointDocument, Holder
from weir.errors import PermanentError, StateConflict
from weir.window import Window


class FakeState:
    """ports.State. ``dead`` lists holders' pids that count as ended, ``alive`` those that live on.

    Others are asked for truly.

    ``corrupt`` lists endpoints whose document cannot be read; ``full`` has no room for another.
    """

    def __init__(self) -> None:
        self.documents: dict[str, EndpointDocument] = {}
        self.dead: set[int] = set()
        self.alive: set[int] = set()
        self.corrupt: set[str] = set()
        self.full = False
        self._lock = threading.RLock()

    def read(self, endpoint: str, *, fresh: bool = False) -> EndpointDocument | None:
        if endpoint in self.corrupt:
            raise PermanentError("state.corrupt", "no document.", remedy="Move it.", where=endpoint)
        return self.documents.get(endpoint)

    def write(self, document: EndpointDocument) -> EndpointDocument:
        name = document.endpoint.name
        with self._lock:
            self._require_revision(document)
            if self.full:
                raise PermanentError("state.disk_full", "no space left.", remedy="Free some.")
            # Through JSON, as every real store does.
            written = document.model_copy(update={"revision": document.revision + 1})
            self.documents[name] = EndpointDocument.model_validate_json(written.model_dump_json())
            return self.documents[name]

    def endpoints(self) -> tuple[str, ...]:
        return tuple(sorted({*self.documents, *self.corrupt}))

    def remove(self, document: EndpointDocument) -> None:
        with self._lock:
            if document.endpoint.name in self.documents:
                self._require_revision(document)
                del self.documents[document.endpoint.name]

    def is_alive(self, holder: Holder, now: datetime) -> bool:
        if holder.pid in self.alive:
            return True
        return holder.pid not in self.dead and holding.is_alive(holder, now)

    def _require_revision(self, document: EndpointDocument) -> None:
        stored = self.documents.get(document.endpoint.name)
        if (stored.revision if stored else 0) != document.revision:
            raise StateConflict(
                "state.conflict", "somebody else wrote.", remedy="Read again.", where="fraud"
            )


class FakeWindows:
    """ports.Windows in memory."""

    def __init__(self) -> None:
        self.windows: dict[tuple[str, str], list[Window]] = {}

    def append(self, endpoint: str, release_id: str, window: Window) -> None:
        record = self.windows.setdefault((endpoint, release_id), [])
        if not record or record[-1].id < window.id:
            record.append(window)

    def read(self, endpoint: str, release_id: str) -> tuple[Window, ...]:
        return tuple(self.windows.get((endpoint, release_id), ()))
