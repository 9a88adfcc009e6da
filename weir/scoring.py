"""Scores sample inputs on one version alone, past the split, as its check."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import requests

from weir.endpoint import Endpoint
from weir.errors import PermanentError, TemporaryError
from weir.ports import CheckReport, Keys

VERSION_HEADER = "x-weir-version"
LONGEST_BODY = 300
NO_ANSWER = "no answer"
UNKNOWN_VERSION = "gateway.version_unknown"
NEWS_SECONDS = 15.0
"""How long a gateway may take to hear of a version that it has been told of."""

NEWS_POLL_SECONDS = 0.5

MARGIN_SECONDS = 5.0
"""Waited beyond the endpoint's own limits, so that the gateway's answer comes first."""


class Gateway(Protocol):
    """What scoring asks of the port Traffic."""

    def scoring_uri(self, endpoint: str) -> str | None: ...

    def keys(self, endpoint: str) -> Keys: ...


class GatewayScorer:
    """Sends samples through the gateway of ``traffic``, with the key and a forced version."""

    def __init__(self, traffic: Gateway) -> None:
        self._traffic = traffic

    def score(self, endpoint: Endpoint, version: str, samples: Path) -> CheckReport:
        """Score every sample of the NDJSON file, one after another.

        A sample fails unless the wanted version answers it with status 2xx. Raises PermanentError
        ``check.no_samples`` and TemporaryError ``check.no_gateway``.
        """
        uri = self._traffic.scoring_uri(endpoint.name)
        if uri is None:
            raise TemporaryError(
                "check.no_gateway",
                "the endpoint has no gateway to score through.",
                remedy="Release again; the gateway is made in the first step.",
                where=f"endpoint {endpoint.name}",
            )
        headers = {VERSION_HEADER: version, "Content-Type": "application/json"}
        if endpoint.auth_enabled:
            headers["Authorization"] = f"Bearer {self._traffic.keys(endpoint.name).primary}"
        return score_samples(
            uri, headers, _bodies(samples), timeout_seconds=_patience_seconds(endpoint, version)
        )


def score_samples(
    uri: str, headers: dict[str, str], bodies: Iterator[bytes], *, timeout_seconds: float
) -> CheckReport:
    """POST every body to ``uri``; the report quotes the first answer that is not 2xx.

    When ``headers`` force a version, an answer from any other version is a failure too.
    """
    samples = failed = unanswered = 0
    first_failure = ""
    slowest_ms = 0.0
    news_until = time.monotonic() + NEWS_SECONDS
    with requests.Session() as session:
        # Neither a proxy of the environment nor .netrc belongs between weir and its gateway.
        session.trust_env = False
        session.headers.update(headers)
        for body in bodies:
            samples += 1
            begun = time.perf_counter()
            failure = _failure(session, uri, body, timeout_seconds)
            while UNKNOWN_VERSION in failure and time.monotonic() < news_until:
                time.sleep(NEWS_POLL_SECONDS)
                begun = time.perf_counter()
                failure = _failure(session, uri, body, timeout_seconds)
            slowest_ms = max(slowest_ms, (time.perf_counter() - begun) * 1000)
            if failure:
                failed += 1
                unanswered += failure.startswith(NO_ANSWER)
                first_failure = first_failure or failure
    return CheckReport(
        samples=samples,
        failed=failed,
        first_failure=first_failure,
        slowest_ms=slowest_ms,
        unanswered=unanswered,
    )


def _failure(session: requests.Session, uri: str, body: bytes, timeout_seconds: float) -> str:
    """Why the sample failed, in words; empty when it did not."""
    try:
        answer = session.post(uri, data=body, timeout=timeout_seconds, allow_redirects=False)
    except requests.Timeout:
        return f"{NO_ANSWER} from {uri} within {timeout_seconds:g} seconds"
    except requests.RequestException as error:
        # The text of the error may hold the request with its headers; its kind says enough.
        return f"{NO_ANSWER} from {uri}: {type(error).__name__}"
    if not 200 <= answer.status_code < 300:
        text = answer.text.strip()
        return f"{answer.status_code}: {text[:LONGEST_BODY]}" if text else str(answer.status_code)
    wanted, served = session.headers.get(VERSION_HEADER), answer.headers.get(VERSION_HEADER)
    if wanted is not None and served is not None and served != wanted:
        return f"{answer.status_code}, but from version {served}"
    return ""


def _bodies(samples: Path) -> Iterator[bytes]:
    try:
        with samples.open("rb") as lines:
            yield from (line.strip() for line in lines if line.strip())
    except OSError as error:
        raise PermanentError(
            "check.no_samples",
            f"the samples cannot be read: {error.strerror}.",
            remedy="Correct check.samples in the release file, then release again.",
            where=str(samples),
        ) from error


def _patience_seconds(endpoint: Endpoint, version: str) -> float:
    known = endpoint.version(version)
    if known is None:
        return MARGIN_SECONDS
    limits = known.deployment
    return (limits.scoring_timeout_ms + limits.max_request_wait_time) / 1000 + MARGIN_SECONDS
