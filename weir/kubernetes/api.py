"""What is asked of the API server: objects, watches and logs, as paths and JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import urllib3
from kubernetes.client.exceptions import ApiException

from weir.errors import WeirError
from weir.kubernetes.answers import refusal
from weir.kubernetes.asking import Asking
from weir.kubernetes.kinds import Kind, Object, kind_of, labels_text, name_of
from weir.kubernetes.names import MANAGER
from weir.kubernetes.shapes import a_document, a_list, an_end, an_event, an_object, as_yaml

QUIET_SECONDS = 90.0
"""A watch without even a bookmark for so long is taken for dead."""

_CHUNK_BYTES = 2**18
_UNSAID = 500
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml; charset=utf-8"
"""With the character set the client takes the bytes as they are, instead of making JSON of them."""

_METADATA = (
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;q=0.5"
)


class Api(Asking):
    """One cluster and one namespace. Every call may be repeated: none does a thing twice.

    ``calls`` counts requests by verb. Raises the errors of ``answers``.
    """

    def in_namespace(self, namespace: str) -> Api:
        """The same cluster, counted together, another namespace."""
        other = Api(self._client, namespace, self._patience_seconds)
        other.calls, other._known = self.calls, self._known
        return other

    def get(self, kind: Kind, name: str) -> Object | None:
        """None when there is no such object, or no such namespace."""
        try:
            return self._json(
                "get",
                "GET",
                kind.path(self.namespace, name),
                f"read {kind.name} {name}",
                shape=an_object,
            )
        except WeirError as error:
            if error.reason in ("kubernetes.missing", "kubernetes.namespace_missing"):
                return None
            raise

    def list(
        self, kind: Kind, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> tuple[list[Object], str]:
        """Objects, and the resourceVersion from which a watch goes on."""
        found = self._listed(kind, _selectors(labels, fields), "application/json")
        items = [
            {"apiVersion": kind.version, "kind": kind.name, **item}
            for item in found.get("items") or ()
        ]
        return items, str(found["metadata"].get("resourceVersion", ""))

    def list_metadata(self, kind: Kind, labels: Mapping[str, str]) -> tuple[Object, ...]:
        """Objects with nothing but their metadata, where the rest is much."""
        return tuple(self._listed(kind, _selectors(labels, ""), _METADATA).get("items") or ())

    def create(self, manifest: Object) -> Object:
        """Raises Conflict when it is there already."""
        kind, name = kind_of(manifest), name_of(manifest)
        return self._json(
            "create",
            "POST",
            kind.path(self.namespace),
            f"make {kind.name} {name}",
            query=[("fieldManager", MANAGER)],
            body=manifest,
            shape=an_object,
        )

    def apply(
        self,
        manifest: Object,
        *,
        force: bool = False,
        dry_run: bool = False,
        manager: str = MANAGER,
    ) -> Object:
        """Server-side apply: weir's fields become as in ``manifest``, others stay.

        Raises FieldConflict where somebody else owns one of them, unless ``force``; Conflict when
        ``manifest`` has a resourceVersion of the past.
        """
        kind, name = kind_of(manifest), name_of(manifest)
        query = [("fieldManager", manager), ("force", "true" if force else "false")]
        if dry_run:
            query.append(("dryRun", "All"))
        return self._json(
            "plan" if dry_run else "apply",
            "PATCH",
            kind.path(self.namespace, name),
            f"apply {kind.name} {name}",
            query=query,
            body=as_yaml(manifest),
            content_type=_APPLY,
            shape=an_object,
        )

    def patch(self, kind: Kind, name: str, change: Object) -> Object:
        """JSON merge patch. Raises Conflict when ``change`` has a resourceVersion of the past."""
        return self._json(
            "patch",
            "PATCH",
            kind.path(self.namespace, name),
            f"change {kind.name} {name}",
            query=[("fieldManager", MANAGER)],
            body=change,
            content_type=_MERGE,
            shape=an_object,
        )

    def delete(
        self, kind: Kind, name: str, *, foreground: bool = False, resource_version: str = ""
    ) -> None:
        """Idempotent. ``foreground`` keeps the object until everything it owns is gone.

        Raises Conflict when the object has another ``resource_version``.
        """
        policy = "Foreground" if foreground else "Background"
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
        if resource_version:
            options["preconditions"] = {"resourceVersion": resource_version}
        try:
            self._json(
                "delete",
                "DELETE",
                kind.path(self.namespace, name),
                f"remove {kind.name} {name}",
                body=options,
                shape=an_end,
            )
        except WeirError as error:
            if error.reason not in ("kubernetes.missing", "kubernetes.namespace_missing"):
                raise

    def read(self, path: str, doing: str) -> Object:
        """Any other JSON document of the server."""
        return self._json("get", "GET", path, doing)

    def text(self, path: str, doing: str, query: Sequence[tuple[str, str]] = ()) -> str:
        """Any text of the server, such as a container's log."""
        self.calls["log"] += 1

        def ask() -> str:
            data: bytes = self._send("GET", path, query, None, "").data
            return data.decode("utf-8", "replace")

        return self._patiently(ask, doing, path)

    def chunks(
        self, path: str, doing: str, query: Sequence[tuple[str, str]] = ()
    ) -> Generator[bytes, None, None]:
        """Any text of the server, as it comes, for what is too long to be held.

        Not patient: raises at once, also in the midst of it.
        """
        self.calls["log"] += 1
        try:
            answer = self._send("GET", path, query, None, "")
            try:
                yield from answer.stream(amt=_CHUNK_BYTES, decode_content=True)
            finally:
                answer.close()
        except ApiException as error:
            raise self._refused(error, doing, path) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._unanswered(error, doing) from None

    def watch(
        self,
        kind: Kind,
        resource_version: str,
        labels: Mapping[str, str] | None = None,
        fields: str = "",
        *,
        opened: Callable[[Callable[[], None]], None] = lambda _: None,
    ) -> Iterator[Object]:
        """Events as the server sends them ({"type", "object"}), until it ends the stream.

        ``opened`` is given what ends the stream from another thread.
        Not patient: raises at once, Gone for a forgotten past. An end without error is usual.
        """
        self.calls["watch"] += 1
        query = [
            *_selectors(labels, fields),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
        ]
        doing, path = f"watch {kind.plural}", kind.path(self.namespace)
        try:
            answer = self._send("GET", path, query, None, "", quiet_seconds=QUIET_SECONDS)
            try:
                opened(partial(_end, answer))
                for line in _lines(answer):
                    event = an_event(json.loads(line))
                    if event["type"] == "ERROR":
                        told = event["object"]
                        code = told.get("code")
                        status = code if isinstance(code, int) else _UNSAID
                        raise refusal(status, json.dumps(told), doing, self.where)
                    yield event
            finally:
                answer.close()
        except ApiException as error:
            raise self._refused(error, doing, path) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._unanswered(error, doing) from None

    def _listed(self, kind: Kind, query: Sequence[tuple[str, str]], accepted: str) -> Object:
        return self._json(
            "list",
            "GET",
            kind.path(self.namespace),
            f"list {kind.plural}",
            query=query,
            accepted=accepted,
            shape=a_list,
        )

    def _json(
        self,
        verb: str,
        method: str,
        path: str,
        doing: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Object | bytes | None = None,
        content_type: str = "",
        accepted: str = "application/json",
        shape: Callable[[Any], Object] = a_document,
    ) -> Object:
        self.calls[verb] += 1

        def ask() -> Object:
            answer = self._send(method, path, query, body, content_type, accepted=accepted)
            return shape(json.loads(answer.data))

        return self._patiently(ask, doing, path)


def _selectors(labels: Mapping[str, str] | None, fields: str) -> list[tuple[str, str]]:
    found = []
    if labels:
        found.append(("labelSelector", labels_text(labels)))
    if fields:
        found.append(("fieldSelector", fields))
    return found


def _lines(answer: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(amt=None, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())


def _end(answer: Any) -> None:
    """Whoever reads ``answer`` reads its end now."""
    # An answer that is over already has no connection any more.
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        answer.shutdown()
