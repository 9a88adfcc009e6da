"""State of the local platform: endpoints/<endpoint>/state.json, by compare-and-swap."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from weir import holding
from weir.document import EndpointDocument, Holder
from weir.errors import PermanentError, StateConflict, UserError
from weir.local.disk import storage_error, write_with_reserve
from weir.local.home import Home
from weir.spec.release import NAME_PATTERN


class LocalState:
    """ports.State in ``home``. A write holds a lock on the endpoint, a read needs none."""

    def __init__(self, home: Path) -> None:
        self._home = Home(home)

    def read(self, endpoint: str, *, fresh: bool = False) -> EndpointDocument | None:  # noqa: ARG002
        """Always the newest. Raises PermanentError ``state.corrupt``, naming the file, or
        ``state.unreadable``, and UserError ``endpoint.bad_name``.
        """
        path = self._folder(endpoint) / "state.json"
        try:
            return EndpointDocument.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PermanentError(
                "state.unreadable",
                f"the state of endpoint {endpoint} cannot be read: {error.strerror or error}.",
                remedy="Give your user the right to read it.",
                where=str(path),
            ) from error
        except ValidationError as error:
            raise PermanentError(
                "state.corrupt",
                f"this is no document of an endpoint that this version of weir can read:"
                f" {_first(error)}.",
                remedy="Put back a copy, or move the file away to begin anew.",
                where=str(path),
            ) from error

    def write(self, document: EndpointDocument) -> EndpointDocument:
        """Raises StateConflict, or PermanentError ``state.disk_full`` or ``state.unwritable``."""
        name = document.endpoint.name
        with self._locked(name):
            stored = self.read(name)
            _require_revision(document, stored)
            written = document.model_copy(update={"revision": document.revision + 1})
            try:
                path = self._folder(name) / "state.json"
                write_with_reserve(
                    self._home.reserve, path, written.model_dump_json(indent=1) + "\n"
                )
            except PermanentError as error:
                raise _in_words_of_state(error) from error
            return written

    def endpoints(self) -> tuple[str, ...]:
        found = (self._home.root / "endpoints").glob("*/state.json")
        return tuple(sorted(path.parent.name for path in found if _is_name(path.parent.name)))

    def remove(self, document: EndpointDocument) -> None:
        """Forget the endpoint, with its window records; its gateway's files stay. Idempotent."""
        endpoint = document.endpoint.name
        folder = self._folder(endpoint)
        if not folder.is_dir():
            return
        with self._locked(endpoint):
            stored = self.read(endpoint)
            if stored is not None:
                _require_revision(document, stored)
            try:
                (folder / "state.json").unlink(missing_ok=True)
                for record in folder.glob("windows-*.ndjson"):
                    record.unlink(missing_ok=True)
                (folder / "state.lock").unlink(missing_ok=True)
            except OSError as error:
                raise _in_words_of_state(storage_error(error, folder)) from error
            with contextlib.suppress(OSError):
                folder.rmdir()

    def is_alive(self, holder: Holder, now: datetime) -> bool:
        return holding.is_alive(holder, now)

    def _folder(self, endpoint: str) -> Path:
        if not _is_name(endpoint):
            raise UserError(
                "endpoint.bad_name",
                "this is no name of an endpoint; a name has 1 to 63 of a-z, 0-9 and hyphens, with"
                " no hyphen at either end.",
                remedy="weir status lists the endpoints.",
                where=f"endpoint {endpoint!r}",
            )
        return self._home.root / "endpoints" / endpoint

    @contextlib.contextmanager
    def _locked(self, endpoint: str) -> Iterator[None]:
        """The endpoint's lock. A lock file that was removed while we waited locks nothing."""
        while True:
            try:
                path = self._home.state_lock(endpoint)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue
            except PermanentError as error:
                raise _in_words_of_state(error) from error
            except OSError as error:
                raise _in_words_of_state(storage_error(error, path)) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if _is_still(descriptor, path):
                    yield
                    return
            finally:
                os.close(descriptor)


def _require_revision(document: EndpointDocument, stored: EndpointDocument | None) -> None:
    name, revision = document.endpoint.name, stored.revision if stored else 0
    if revision != document.revision:
        raise StateConflict(
            "state.conflict",
            f"the document of endpoint {name} is at revision {revision}, not at"
            f" {document.revision} any more.",
            remedy="Run the command again.",
            where=f"endpoint {name}",
        )


def _is_name(text: str) -> bool:
    # The pattern's end also matches before a final line break.
    return re.fullmatch(NAME_PATTERN, text) is not None and not text.endswith("\n")


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _in_words_of_state(error: PermanentError) -> PermanentError:
    reason = "state.disk_full" if error.reason == "disk.full" else "state.unwritable"
    return PermanentError(reason, error.message, remedy=error.remedy, where=error.where)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
