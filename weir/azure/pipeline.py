"""How the management SDK asks: with the patience, the trust and the words of ``asking``."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    ContentDecodePolicy,
    HeadersPolicy,
    HTTPPolicy,
    RequestIdPolicy,
    SensitiveHeaderCleanupPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from weir.azure.asking import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    CORRELATION_HEADER,
    PATIENCE_SECONDS,
    retry_after,
)
from weir.azure.cloud import Cloud
from weir.azure.identity import USER_AGENT
from weir.azure.refusals import AzureBusy, not_signed_in, refusal
from weir.errors import PermanentError, WeirError

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0


class Patience(HTTPPolicy[Any, Any]):
    """Asks again after 429, 5xx and broken connections, for a bounded time; never after another
    4xx. What is sent through it has to be safe to be sent twice."""

    def __init__(self, patience_seconds: float, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._patience_seconds, self._sleep = patience_seconds, sleep

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        deadline = time.monotonic() + self._patience_seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            after_seconds, error, response = 0.0, None, None
            try:
                response = self.next.send(request)
                status = response.http_response.status_code
                if status != 429 and status < 500:
                    return response
                after_seconds = retry_after(response.http_response.headers)
            except (ServiceRequestError, ServiceResponseError) as broken:
                if _is_untrusted(broken):
                    raise
                error = broken
            left = deadline - time.monotonic()
            if left <= 0 or after_seconds > max(left, self._patience_seconds):
                if error is not None:
                    raise error
                assert response is not None
                return response
            self._sleep(max(after_seconds, min(left, pause_seconds)))
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * pause_seconds)


def container_service(
    credential: TokenCredential,
    cloud: Cloud,
    subscription_id: str,
    api_version: str,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> ContainerServiceClient:
    """The SDK's client for AKS. It registers no resource provider by itself, and logs nothing."""
    policies = [
        RequestIdPolicy(),
        HeadersPolicy(),
        UserAgentPolicy(base_user_agent=USER_AGENT),
        ContentDecodePolicy(),
        Patience(patience_seconds, sleep),
        ARMChallengeAuthenticationPolicy(credential, cloud.management_scope),
        SensitiveHeaderCleanupPolicy(),
    ]
    transport = RequestsTransport(
        connection_verify=cloud.verify,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
    )
    return ContainerServiceClient(
        credential,
        subscription_id,
        cloud.resource_manager,
        api_version=api_version,
        credential_scopes=[cloud.management_scope],
        policies=policies,
        transport=transport,
    )


@contextmanager
def in_weirs_words(doing: str, where: str) -> Iterator[dict[str, str]]:
    """Gives the headers of one call of the SDK; what it raises comes out as a WeirError.

    ``doing`` completes "Azure refused to ...".
    """
    correlation_id = str(uuid.uuid4())
    try:
        yield {CORRELATION_HEADER: correlation_id}
    except AzureError as error:
        raise _translated(error, doing, where, correlation_id) from None
    except ValueError:
        # The SDK reads answers as it expects them: Retry-After as a number, say.
        raise PermanentError(
            "azure.unreadable",
            f"Azure's answer to {doing} cannot be understood (correlation id {correlation_id}).",
            remedy="See whether a proxy stands in the way; running again goes on from what there"
            " is.",
            where=where,
        ) from None


def _translated(error: AzureError, doing: str, where: str, correlation_id: str) -> WeirError:
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    if response is not None:
        return refusal(
            int(response.status_code or 0),
            _body(response),
            doing,
            where,
            correlation_id=correlation_id,
            after_seconds=retry_after(response.headers) or 1.0,
        )
    if isinstance(error, ClientAuthenticationError):
        return not_signed_in(str(error.message), where)
    if _is_untrusted(error):
        return PermanentError(
            "azure.untrusted",
            f"the server's certificate is refused; weir did not {doing}.",
            remedy="Behind a proxy that opens TLS, set ca_bundle in the platform block (or"
            " REQUESTS_CA_BUNDLE) to its certificates.",
            where=where,
        )
    inner = error.inner_exception or error
    return AzureBusy(
        "azure.unreachable",
        f"Azure cannot be reached to {doing}: {type(inner).__name__.removesuffix('Error')}"
        f" (correlation id {correlation_id}).",
        remedy="See that this machine reaches the host; then run again.",
        where=where,
    )


def _body(response: Any) -> str:
    try:
        return str(response.text())
    except (AzureError, RuntimeError, ValueError):
        return ""


def _is_untrusted(error: AzureError) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
