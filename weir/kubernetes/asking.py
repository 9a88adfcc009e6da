"""How the API server is asked: with patience, with credentials that are renewed, in our words."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from weir.errors import PermanentError, TemporaryError, UserError, WeirError
from weir.kubernetes.answers import (
    Conflict,
    Gone,
    SignedOut,
    refusal,
    signed_out,
    unreachable,
    untrusted,
)
from weir.kubernetes.connection import ANSWER_SECONDS, CONNECT_SECONDS, SignedIn
from weir.kubernetes.failures import beneath, in_tls, kind_of_failure
from weir.kubernetes.kinds import GATEWAY_API, Object

PATIENCE_SECONDS = 120.0
"""How long a silent or overloaded API server is tried again before a call fails."""

FIRST_PATIENCE_SECONDS = 10.0
"""PATIENCE_SECONDS before it has answered at all: then likelier the address is wrong."""

SIGN_IN_SECONDS = 60.0
"""How long credentials that were good are loaded anew before a call fails."""

Found = TypeVar("Found")

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_UNAUTHORIZED = 401
_A_SECOND = timedelta(seconds=1.5)


@dataclass
class _Known:
    """What the server has let this process know of it."""

    has_answered: bool = False
    has_let_in: bool = False
    ahead: timedelta = timedelta()
    """Of its clock before this machine's."""


class Asking:
    """One API server as one namespace sees it. Raises the errors of ``answers``."""

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
        self._known = _Known()

    @property
    def where(self) -> str:
        return f"cluster {self._client.configuration.host}, namespace {self.namespace}"

    def now(self) -> datetime:
        """The time by the server's clock, to a second; by this machine's before it has answered."""
        return datetime.now(UTC) + self._known.ahead

    def _patiently(self, ask: Callable[[], Found], doing: str, path: str) -> Found:
        began = time.monotonic()
        signed_out_at, renewal = None, None
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            wanted_seconds = 0.0
            credentials = self._client.configuration
            try:
                found = ask()
                self._known.has_answered = self._known.has_let_in = True
                return found
            except ApiException as error:
                self._known.has_answered = True
                trouble = final = self._refused(error, doing, path)
                wanted_seconds = _retry_after(error)
                if isinstance(trouble, SignedOut):
                    signed_out_at = signed_out_at or time.monotonic()
                    final = renewal or self._refused(error, doing, path, is_final=True)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                trouble = final = self._unanswered(error, doing)
            if not isinstance(trouble, TemporaryError) or isinstance(trouble, Conflict | Gone):
                raise trouble from None
            deadline = began + self._patience()
            if isinstance(trouble, SignedOut) and signed_out_at is not None:
                deadline = min(deadline, signed_out_at + SIGN_IN_SECONDS)
            left = deadline - time.monotonic()
            if left <= 0 or wanted_seconds > left:
                raise final from None
            time.sleep(min(left, max(pause_seconds, wanted_seconds)))
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * pause_seconds)
            if isinstance(trouble, SignedOut):
                renewal = self._sign_in_again(credentials)

    def _sign_in_again(self, used: object) -> WeirError | None:
        """What keeps the credentials from being loaded anew."""
        if isinstance(self._client, SignedIn):
            try:
                self._client.sign_in_again(used)
            except UserError as error:
                # In the midst of the work it is not the input that is wrong.
                return PermanentError(
                    error.reason, error.message, remedy=error.remedy, where=error.where
                )
        return None

    def _patience(self) -> float:
        limit = self._patience_seconds
        return limit if self._known.has_answered else min(FIRST_PATIENCE_SECONDS, limit)

    def _send(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Object | bytes | None,
        content_type: str,
        quiet_seconds: float | None = None,
        accepted: str = "application/json, */*",
    ) -> Any:
        headers = {"Accept": accepted}
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
        try:
            answer = self._client.call_api(
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
            failure = beneath(error)
            if failure is None:
                raise
            raise failure from None
        self._note_time(answer.headers)
        return answer

    def _note_time(self, headers: Mapping[str, str]) -> None:
        with contextlib.suppress(TypeError, ValueError):
            at = parsedate_to_datetime(headers.get("Date") or "")
            # It says whole seconds, and what is right to one is right.
            ahead = at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)
            self._known.ahead = timedelta() if abs(ahead) < _A_SECOND else ahead

    def _unanswered(self, error: Exception, doing: str) -> WeirError:
        refusal_of_tls = in_tls(error)
        if refusal_of_tls is not None:
            return untrusted(refusal_of_tls, doing, self.where)
        return unreachable(kind_of_failure(error), doing, self.where)

    def _refused(
        self, error: ApiException, doing: str, path: str, *, is_final: bool = False
    ) -> WeirError:
        """``is_final``: it has been tried again for long enough."""
        status = int(error.status or 0)
        if status == _UNAUTHORIZED and self._known.has_let_in and not is_final:
            return signed_out(doing, self.where)
        body = error.body
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
        is_added = path.startswith(f"/apis/{GATEWAY_API}/")
        return refusal(status, text, doing, self.where, is_added=is_added)


def _retry_after(error: ApiException) -> float:
    headers = error.headers or {}
    try:
        return min(60.0, float(headers.get("Retry-After") or 0))
    except (TypeError, ValueError):
        return 0.0
