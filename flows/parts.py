"""The parts of a release: a flow run each, and plain calls while Prefect does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
from prefect import Flow
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from tasks.narration import tell

API_GONE = (httpx.TransportError, PrefectHTTPStatusError)
"""Errors of Prefect's own client; nothing else here speaks HTTP through httpx."""

Carry = Callable[[Flow[..., None], str, str], None]


@contextmanager
def carrying_out() -> Iterator[Carry]:
    """Gives ``carry_out(part, endpoint, platform)``, for as long as the block lasts.

    Every part can be done again, so one whose run Prefect lost half-way is done plainly. After
    the first minute of tries in vain nothing waits for the server any more.
    """
    with ExitStack() as settings:
        # Only the release's own run beats: a part's heartbeat costs a second at its end.
        settings.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))

        def carry_out(part: Flow[..., None], endpoint: str, platform: str) -> None:
            try:
                part(endpoint, platform)
            except API_GONE as error:
                settings.enter_context(temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}))
                tell(f"{part.name} goes on without Prefect, which does not answer: {error}")
                part.fn(endpoint, platform)

        yield carry_out
