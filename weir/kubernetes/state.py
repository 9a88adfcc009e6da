"""State of endpoints: a ConfigMap each, written by compare-and-swap on its resourceVersion."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from weir import holding
from weir.document import EndpointDocument, Holder
from weir.errors import PermanentError, StateConflict, WeirError
from weir.kubernetes import names
from weir.kubernetes.answers import Conflict
from weir.kubernetes.api import Api
from weir.kubernetes.followers import Followers
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import CONFIG_MAP, Object, version_number

COMPONENT = {"app.kubernetes.io/component": "state"}
DOCUMENT = "document.json"
REVISION = "weir/revision"
WRITE = "weir/write"
"""Annotation: tells one write from every other, also from one of the same document."""

LARGEST_BYTES = 900_000
"""A ConfigMap holds 1 MiB; the rest is for its metadata."""

_ATTEMPTS = 3

READS_BEFORE_A_WATCH = 2
"""A command reads once or twice; who reads more often, or writes, follows."""


class KubernetesState:
    """Implements ``State``. Whoever reads often follows the ConfigMap instead of asking again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._reads: Counter[str] = Counter()
        self._followed = Followers()
        self._newest: dict[str, Object] = {}
        self._lock = threading.Lock()

    def read(self, endpoint: str, *, fresh: bool = False) -> EndpointDocument | None:
        """Raises PermanentError ``state.corrupt``."""
        found = self._asked(endpoint) if fresh else self._object(endpoint)
        return None if found is None else self._parsed(found)

    def write(self, document: EndpointDocument) -> EndpointDocument:
        """See State. Raises PermanentError ``state.too_large``."""
        name = document.endpoint.name
        written = document.model_copy(update={"revision": document.revision + 1})
        text = written.model_dump_json(indent=1)
        if len(text.encode()) > LARGEST_BYTES:
            raise PermanentError(
                "state.too_large",
                f"the document of endpoint {name} would have {len(text.encode()):,} bytes, at most"
                f" {LARGEST_BYTES:,} fit.",
                remedy="Make the release file smaller (environment_variables, tags).",
                where=f"endpoint {name}",
            )
        annotations = {REVISION: str(written.revision), WRITE: uuid.uuid4().hex}
        stored = self._swap(name, document.revision, text, annotations)
        self._note(name, stored)
        self._follow(name, stored)
        return written

    def endpoints(self) -> tuple[str, ...]:
        found, _ = self._api.list(CONFIG_MAP, COMPONENT)
        return tuple(sorted(str(one["metadata"]["labels"][names.ENDPOINT]) for one in found))

    def remove(self, document: EndpointDocument) -> None:
        """See State. The window records go with the document, which owns them."""
        name = document.endpoint.name
        found = self._api.get(CONFIG_MAP, names.of_state(name))
        if found is not None:
            if _revision(found) != document.revision:
                raise _conflict(name, document.revision)
            try:
                self._api.delete(
                    CONFIG_MAP,
                    names.of_state(name),
                    resource_version=str(found["metadata"]["resourceVersion"]),
                )
            except Conflict as error:
                raise _conflict(name, document.revision) from error
        self._newest.pop(name, None)
        self._reads.pop(name, None)
        self._followed.forget(name)

    def object(self, endpoint: str) -> Object | None:
        """The ConfigMap that holds the document, for what belongs to it."""
        return self._newest.get(endpoint) or self._object(endpoint)

    def is_alive(self, holder: Holder, now: datetime) -> bool:
        return holding.is_alive(holder, now)

    def _swap(
        self, endpoint: str, revision: int, text: str, annotations: Mapping[str, str]
    ) -> Object:
        """Store ``text`` where ``revision`` is stored now. Raises StateConflict."""
        name = names.of_state(endpoint)
        known = self._newest.get(endpoint)
        if revision and (known is None or _revision(known) != revision):
            known = self._api.get(CONFIG_MAP, name)
        for _ in range(_ATTEMPTS):
            try:
                if revision == 0:
                    return self._api.create(_manifest(endpoint, text, annotations))
                if known is None or _revision(known) != revision:
                    break
                change: Object = {
                    "metadata": {
                        "resourceVersion": known["metadata"]["resourceVersion"],
                        "annotations": dict(annotations),
                    },
                    "data": {DOCUMENT: text},
                }
                return self._api.patch(CONFIG_MAP, name, change)
            except Conflict:
                # An answer that was lost on its way makes our own write come second to itself; and
                # perhaps only a label was changed.
                known = self._api.get(CONFIG_MAP, name)
                if known is not None and _annotation(known, WRITE) == annotations[WRITE]:
                    return known
                if revision == 0:
                    break
            except WeirError as error:
                if error.reason != "kubernetes.missing":
                    raise
                known = None
        self._note(endpoint, known)
        raise _conflict(endpoint, revision)

    def _object(self, endpoint: str) -> Object | None:
        followed = self._followed.get(endpoint)
        name = names.of_state(endpoint)
        if followed is not None and followed.is_live:
            found = followed.get(name)
            self._note(endpoint, found)
            return found
        found = self._asked(endpoint)
        self._reads[endpoint] += 1
        if found is not None and self._reads[endpoint] > READS_BEFORE_A_WATCH:
            # Counted anew once that has ended: who looks at very many in turn mostly asks.
            self._reads.pop(endpoint)
            self._follow(endpoint, found)
        return found

    def _asked(self, endpoint: str) -> Object | None:
        found = self._api.get(CONFIG_MAP, names.of_state(endpoint))
        self._note(endpoint, found)
        return found

    def _follow(self, endpoint: str, seed: Object) -> None:
        name = names.of_state(endpoint)
        self._followed.follow(
            endpoint, lambda: Following(self._api, CONFIG_MAP, name=name, seed=seed)
        )

    def _note(self, endpoint: str, found: Object | None) -> None:
        if found is None:
            self._newest.pop(endpoint, None)
            return
        # The heartbeat is another thread than the release.
        with self._lock:
            known = self._newest.get(endpoint)
            if known is None or version_number(known) <= version_number(found):
                self._newest[endpoint] = found
        followed = self._followed.get(endpoint)
        if followed is not None:
            followed.put(found)

    def _parsed(self, found: Object) -> EndpointDocument:
        name = found["metadata"]["name"]
        try:
            return EndpointDocument.model_validate_json((found.get("data") or {})[DOCUMENT])
        except (ValidationError, KeyError) as error:
            raise PermanentError(
                "state.corrupt",
                f"ConfigMap {name} is no document of an endpoint that this version of weir can"
                f" read: {_first(error)}.",
                remedy="Put back a copy, or remove the ConfigMap to begin anew.",
                where=self._api.where,
            ) from error


def _manifest(endpoint: str, text: str, annotations: Mapping[str, str]) -> Object:
    labels = names.endpoint_labels(endpoint) | COMPONENT
    manifest = CONFIG_MAP.object(names.of_state(endpoint), labels, annotations)
    manifest["data"] = {DOCUMENT: text}
    return manifest


def _annotation(found: Object, name: str) -> str:
    return str((found["metadata"].get("annotations") or {}).get(name, ""))


def _revision(found: Object) -> int:
    text = _annotation(found, REVISION)
    return int(text) if text.isdigit() else -1


def _conflict(endpoint: str, revision: int) -> StateConflict:
    return StateConflict(
        "state.conflict",
        f"the document of endpoint {endpoint} is not at revision {revision} any more.",
        remedy="Run the command again.",
        where=f"endpoint {endpoint}",
    )


def _first(error: ValidationError | KeyError) -> str:
    if isinstance(error, KeyError):
        return f"it has no {DOCUMENT}"
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
