"""How Azure's REST services are asked: signed in, with patience, in weir's words.

429 and 5xx are asked again after what ``Retry-After`` says, and so are connections that break;
never another 4xx. Every request carries weir's user agent and an id that shows up in errors.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.credentials import TokenCredential

from weir.azure import identity
from weir.azure.cloud import Cloud
from weir.azure.refusals import AzureBusy, refusal
from weir.errors import PermanentError, WeirError

PATIENCE_SECONDS = 120.0
"""How long a throttling or silent service is asked again before a call fails."""

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
CORRELATION_HEADER = "x-ms-correlation-request-id"
REQUEST_ID_HEADER = "x-ms-client-request-id"

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_LONGEST_WAIT_SECONDS = 300.0


@dataclass(frozen=True)
class Answer:
    """One answer below 400. ``headers`` have names of any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    correlation_id: str = ""

    def json(self) -> Any:
        """Raises PermanentError ``azure.no_json``."""
        try:
            return json.loads(self.body) if self.body else {}
        except ValueError:
            raise PermanentError(
                "azure.no_json",
                "Azure's answer is no JSON; something between here and Azure may have answered.",
                remedy="See whether a proxy stands in the way.",
                where=f"correlation id {self.correlation_id}",
            ) from None


class Asking:
    """REST calls in the name of one identity. Threads may share it."""

    def __init__(
        self,
        credential: TokenCredential,
        cloud: Cloud,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.credential, self.cloud = credential, cloud
        self._patience_seconds, self._sleep = patience_seconds, sleep
        self._session = requests.Session()
        self._session.headers["User-Agent"] = identity.USER_AGENT

    def arm(
        self, method: str, path: str, doing: str, *, version: str, where: str = "", **sent: Any
    ) -> Answer:
        """ARM at ``path``, in its API ``version``. See ``call``."""
        params = {**sent.pop("params", {}), "api-version": version}
        address = path if path.startswith("https://") else f"{self.cloud.resource_manager}{path}"
        if "api-version=" in address:
            params.pop("api-version")
        scope = self.cloud.management_scope
        return self.call(method, address, doing, scope=scope, where=where, params=params, **sent)

    def call(
        self,
        method: str,
        address: str,
        doing: str,
        *,
        scope: str = "",
        where: str = "",
        is_repeatable: bool = True,
        **sent: Any,
    ) -> Answer:
        """Ask until there is an answer, and raise what it says where that is a refusal.

        ``doing`` completes "Azure refused to ..."; ``where`` is the object, the host when empty.
        Without ``scope`` no token is sent: for addresses that carry their own permission, which
        are not shown. ``is_repeatable`` False: what may have arrived is not sent again, a refusal
        that says it did not is. ``sent`` goes to requests (params, json, data, headers, timeout).
        """
        with self.stream(
            method, address, doing, scope=scope, where=where, is_repeatable=is_repeatable, **sent
        ) as (answer, response):
            return Answer(answer.status, answer.headers, response.content, answer.correlation_id)

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        address: str,
        doing: str,
        *,
        scope: str = "",
        where: str = "",
        is_repeatable: bool = True,
        **sent: Any,
    ) -> Iterator[tuple[Answer, requests.Response]]:
        """As ``call``, with the answer's body still to be read from the response of requests."""
        where = where or f"host {urlsplit(address).netloc}"
        correlation_id = str(uuid.uuid4())
        deadline = time.monotonic() + self._patience_seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            response: requests.Response | None = None
            after_seconds = 0.0
            try:
                response = self._send(method, address, scope, correlation_id, where, sent)
                if response.status_code < 400:
                    break
                after_seconds = retry_after(response.headers)
                trouble = self._refused(response, doing, where, correlation_id)
                may_repeat = isinstance(trouble, AzureBusy) and (
                    is_repeatable or response.status_code in (429, 503)
                )
            except requests.RequestException as error:
                trouble = unreachable(error, doing, where, correlation_id)
                may_repeat = is_repeatable and isinstance(trouble, AzureBusy)
            if response is not None:
                response.close()
            left = deadline - time.monotonic()
            if not may_repeat or left <= 0 or after_seconds > max(left, self._patience_seconds):
                raise trouble from None
            self._sleep(max(after_seconds, min(left, pause_seconds)))
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * pause_seconds)
        try:
            yield Answer(response.status_code, response.headers, b"", correlation_id), response
        except requests.RequestException as error:
            raise unreachable(error, doing, where, correlation_id) from None
        finally:
            response.close()

    def _send(
        self,
        method: str,
        address: str,
        scope: str,
        correlation_id: str,
        where: str,
        sent: Mapping[str, Any],
    ) -> requests.Response:
        headers = {
            CORRELATION_HEADER: correlation_id,
            REQUEST_ID_HEADER: str(uuid.uuid4()),
            **sent.get("headers", {}),
        }
        if scope:
            headers["Authorization"] = f"Bearer {identity.token(self.credential, scope, where)}"
        # Given with each request: the session's own would give way to REQUESTS_CA_BUNDLE.
        options = {
            "timeout": (CONNECT_SECONDS, ANSWER_SECONDS),
            "verify": self.cloud.verify,
            **sent,
            "headers": headers,
        }
        return self._session.request(
            method, address, stream=True, allow_redirects=not scope, **options
        )

    def _refused(
        self, response: requests.Response, doing: str, where: str, correlation_id: str
    ) -> WeirError:
        return refusal(
            response.status_code,
            response.text,
            doing,
            where,
            correlation_id=correlation_id,
            after_seconds=retry_after(response.headers) or 1.0,
        )


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds until the next question, from a number or a date; 0 where nothing is said."""
    said = headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        return _bounded(float(said))
    with contextlib.suppress(TypeError, ValueError):
        at = parsedate_to_datetime(said)
        return _bounded((at - datetime.now(UTC)).total_seconds())
    return 0.0


def unreachable(
    error: requests.RequestException, doing: str, where: str, correlation_id: str = ""
) -> WeirError:
    """The error for a connection that failed; without the address, which may hold a permission."""
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in str(error).upper():
        return PermanentError(
            "azure.untrusted",
            f"the server's certificate is refused; weir did not {doing}.",
            remedy="Behind a proxy that opens TLS, set ca_bundle in the platform block (or"
            " REQUESTS_CA_BUNDLE) to its certificates.",
            where=where,
        )
    kind = type(error).__name__.removesuffix("Error")
    told = f" (correlation id {correlation_id})" if correlation_id else ""
    return AzureBusy(
        "azure.unreachable",
        f"Azure cannot be reached to {doing}: {kind}{told}.",
        remedy="See that this machine reaches the host; then run again.",
        where=where,
    )


def _bounded(seconds: float) -> float:
    return min(_LONGEST_WAIT_SECONDS, max(0.0, seconds))
