"""The API server through the official client: paths and JSON, patience, and errors in our words."""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from weir.errors import TemporaryError, WeirError
from weir.kubernetes.answers import refusal, unreachable, untrusted
from weir.kubernetes.connection import ANSWER_SECONDS, CONNECT_SECONDS
from weir.kubernetes.kinds import Kind, Object, kind_of, labels_text, name_of
from weir.kubernetes.names import MANAGER

PATIENCE_SECONDS = 120.0
"""How long a silent or overloaded API server is tried again before a call fails."""

QUIET_SECONDS = 90.0
"""A watch without even a bookmark for so long is taken for dead."""

FIRST_PATIENCE_SECONDS = 10.0
"""The same before it has answered at all: then likelier the address is wrong."""

Found = TypeVar("Found")

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_CHUNK_BYTES = 2**18
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_TRIED_AGAIN = (429, 500, 502, 503, 504)


class Api:
    """One cluster and one namespace. Every call may be repeated: none does a thing twice.

    ``calls`` counts requests by verb. Raises the errors of ``answers``.
    """

    def __init__(
        self,
        connection: client.ApiClient,
        namespace: str,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = connection
        self.namespace = namespace
        self.calls: Counter[str] = Counter()
        self._patience_seconds = patience_seconds
        self._has_answered = False

    @property
    def where(self) -> str:
        return f"cluster {self._client.configuration.host}, namespace {self.namespace}"

    def in_namespace(self, namespace: str) -> Api:
        """The same cluster, counted together, another namespace."""
        other = Api(self._client, namespace, self._patience_seconds)
        other.calls, other._has_answered = self.calls, self._has_answered
        return other

    def get(self, kind: Kind, name: str) -> Object | None:
        """None when there is no such object, or no such namespace."""
        try:
            return self._json(
                "get", "GET", kind.path(self.namespace, name), f"read {kind.name} {name}"
            )
        except WeirError as error:
            if error.reason in ("kubernetes.missing", "kubernetes.namespace_missing"):
                return None
            raise

    def list(
        self, kind: Kind, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> tuple[list[Object], str]:
        """Objects, and the resourceVersion from which a watch goes on."""
        query = _selectors(labels, fields)
        found = self._json(
            "list", "GET", kind.path(self.namespace), f"list {kind.plural}", query=query
        )
        items = [
            {"apiVersion": kind.version, "kind": kind.name, **item}
            for item in found.get("items") or ()
        ]
        return items, str(found.get("metadata", {}).get("resourceVersion", ""))

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
            body=manifest,
            content_type=_APPLY,
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

        return self._patiently(ask, doing)

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
            raise self._refused(error, doing) from None
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
        doing = f"watch {kind.plural}"
        try:
            answer = self._send(
                "GET", kind.path(self.namespace), query, None, "", quiet_seconds=QUIET_SECONDS
            )
            try:
                opened(partial(_end, answer))
                for line in _lines(answer):
                    event = json.loads(line)
                    if event.get("type") == "ERROR":
                        told = event.get("object") or {}
                        raise refusal(
                            int(told.get("code") or 500), json.dumps(told), doing, self.where
                        )
                    yield event
            finally:
                answer.close()
        except ApiException as error:
            raise self._refused(error, doing) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._unanswered(error, doing) from None

    def _json(
        self,
        verb: str,
        method: str,
        path: str,
        doing: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Object | None = None,
        content_type: str = "",
    ) -> Object:
        self.calls[verb] += 1

        def ask() -> Object:
            found = json.loads(self._send(method, path, query, body, content_type).data)
            return dict(found)

        return self._patiently(ask, doing)

    def _patiently(self, ask: Callable[[], Found], doing: str) -> Found:
        began = time.monotonic()
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            wanted_seconds = 0.0
            try:
                found = ask()
                self._has_answered = True
                return found
            except ApiException as error:
                self._has_answered = True
                trouble = self._refused(error, doing)
                if error.status not in _TRIED_AGAIN:
                    raise trouble from None
                wanted_seconds = _retry_after(error)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                trouble = self._unanswered(error, doing)
                if not isinstance(trouble, TemporaryError):
                    raise trouble from None
            pause = max(pause_seconds, wanted_seconds)
            if time.monotonic() + pause - began > self._patience():
                raise trouble from None
            time.sleep(pause)
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * pause_seconds)

    def _patience(self) -> float:
        limit = self._patience_seconds
        return limit if self._has_answered else min(FIRST_PATIENCE_SECONDS, limit)

    def _send(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Object | None,
        content_type: str,
        quiet_seconds: float | None = None,
    ) -> Any:
        headers = {"Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
        try:
            return self._client.call_api(
                path,
                method,
                query_params=list(query),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS, quiet_seconds or ANSWER_SECONDS),
                _return_http_data_only=True,
            )
        except AttributeError as error:
            # The client stumbles over its own error for a failure of TLS, which has no body.
            failure = _beneath(error)
            if failure is None:
                raise
            raise failure from None

    def _unanswered(self, error: Exception, doing: str) -> WeirError:
        refusal_of_tls = _in_tls(error)
        if refusal_of_tls is not None:
            return untrusted(refusal_of_tls, doing, self.where)
        return unreachable(_kind_of_failure(error), doing, self.where)

    def _refused(self, error: ApiException, doing: str) -> WeirError:
        body = error.body
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
        return refusal(int(error.status or 0), text, doing, self.where)


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


def _retry_after(error: ApiException) -> float:
    headers = error.headers or {}
    try:
        return min(60.0, float(headers.get("Retry-After") or 0))
    except (TypeError, ValueError):
        return 0.0


def _beneath(error: BaseException) -> urllib3.exceptions.HTTPError | None:
    """The failure of the connection in whose handling ``error`` came up."""
    context: BaseException | None = error
    while context is not None and not isinstance(context, urllib3.exceptions.HTTPError):
        context = context.__context__
    return context


def _in_tls(error: BaseException) -> str | None:
    """What TLS objects to; None where it was something else, a broken connection perhaps."""
    for one in (error, getattr(error, "reason", None), *error.args):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"the server's certificate is refused, {one.verify_message}"
        if isinstance(one, ssl.SSLError) and not isinstance(one, _BROKEN_OFF):
            return str(one.reason or one).replace("_", " ").lower()
    return None


def _kind_of_failure(error: Exception) -> str:
    """The failure without the request, which may hold credentials."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return _kind_of_failure(reason)
    name = type(error).__name__
    return name.removesuffix("Error").removesuffix("Exception") or name
