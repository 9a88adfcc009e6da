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

from weir.azure.asking import CORRELATION_HEADER
from weir.azure.cloud import Cloud
from weir.azure.identity import USER_AGENT
from weir.azure.patience import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    PATIENCE_SECONDS,
    Patience,
    retry_after,
)
from weir.azure.refusals import not_signed_in, refusal, silent, untrusted
from weir.errors import PermanentError, WeirError


class AskingAgain(HTTPPolicy[Any, Any]):
    """Asks again after 429, 5xx and broken connections, for a bounded time; never after another
    4xx. What is sent through it has to be safe to be sent twice."""

    def __init__(self, patience_seconds: float, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._patience_seconds, self._sleep = patience_seconds, sleep

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        patience = Patience(self._patience_seconds, self._sleep)
        while True:
            try:
                response = self.next.send(request)
                status = response.http_response.status_code
                is_busy = status == 429 or status >= 500
                if not is_busy or not patience.pause(retry_after(response.http_response.headers)):
                    return response
            except (ServiceRequestError, ServiceResponseError) as broken:
                if _is_untrusted(broken) or not patience.pause():
                    raise


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
        AskingAgain(patience_seconds, sleep),
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
        return untrusted(doing, where)
    return silent(error.inner_exception or error, doing, where, correlation_id)


def _body(response: Any) -> str:
    try:
        return str(response.text())
    except (AzureError, RuntimeError, ValueError):
        return ""


def _is_untrusted(error: AzureError) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
