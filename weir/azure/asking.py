"""How Azure's REST services are asked: signed in, with patience, in weir's words.

429 and 5xx are asked again after what ``Retry-After`` says, and so are connections that break;
never another 4xx. Every request carries weir's user agent and an id that shows up in errors.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.credentials import TokenCredential

from weir.azure import identity
from weir.azure.cloud import Cloud
from weir.azure.patience import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    PATIENCE_SECONDS,
    Patience,
    retry_after,
)
from weir.azure.refusals import AzureBusy, refusal, silent, untrusted
from weir.errors import PermanentError, WeirError
from weir.images.registry import unsigned

CORRELATION_HEADER = "x-ms-correlation-request-id"
REQUEST_ID_HEADER = "x-ms-client-request-id"


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
        self._patience_seconds, self.sleep = patience_seconds, sleep
        self._session = requests.Session()
        # A .netrc is no login for Azure, and would go before the token.
        self._session.auth = unsigned
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

    def token(self, scope: str, where: str) -> str:
        """The identity's token for ``scope``. Raises as ``identity.token``."""
        return identity.token(self.credential, scope, where)

    def call(
        self,
        method: str,
        address: str,
        doing: str,
        *,
        scope: str = "",
        where: str = "",
        **sent: Any,
    ) -> Answer:
        """Ask until there is an answer, and raise what it says where that is a refusal.

        ``doing`` completes "Azure refused to ..."; ``where`` is the object, the host when empty.
        Without ``scope`` no token is sent: for addresses that carry their own permission, which
        are not shown. ``sent`` goes to requests (params, json, data, headers, timeout).
        """
        where = where or f"host {urlsplit(address).netloc}"
        correlation_id = str(uuid.uuid4())
        patience = Patience(self._patience_seconds, self.sleep)
        while True:
            after_seconds = 0.0
            try:
                response = self._send(method, address, scope, correlation_id, where, sent)
                if response.status_code < 400:
                    return Answer(
                        response.status_code, response.headers, response.content, correlation_id
                    )
                after_seconds = retry_after(response.headers)
                trouble = refusal(
                    response.status_code,
                    response.text,
                    doing,
                    where,
                    correlation_id=correlation_id,
                    after_seconds=after_seconds or 1.0,
                )
            except requests.RequestException as error:
                trouble = _unreachable(error, doing, where, correlation_id)
            if not isinstance(trouble, AzureBusy) or not patience.pause(after_seconds):
                raise trouble from None

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
            headers["Authorization"] = f"Bearer {self.token(scope, where)}"
        # Given with each request: the session's own would give way to REQUESTS_CA_BUNDLE.
        options = {
            "timeout": (CONNECT_SECONDS, ANSWER_SECONDS),
            "verify": self.cloud.verify,
            **sent,
            "headers": headers,
        }
        return self._session.request(method, address, allow_redirects=not scope, **options)


def _unreachable(
    error: requests.RequestException, doing: str, where: str, correlation_id: str
) -> WeirError:
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in str(error).upper():
        return untrusted(doing, where)
    return silent(error, doing, where, correlation_id)
