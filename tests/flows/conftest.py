"""Flows run in this process, on the Prefect server that all tests share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_HOME,
    temporary_settings,
)

from tests.integration.lab import Lab


@pytest.fixture(scope="session", autouse=True)
def prefect_server(lab: Lab) -> Iterator[str]:
    settings = {
        PREFECT_API_URL: lab.server.api,
        PREFECT_HOME: lab.work / "prefect",
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,
    }
    with temporary_settings(settings):
        yield lab.server.api
        # What is still unsent would be tried for a minute once the server is gone.
        with contextlib.suppress(RuntimeError):
            APILogWorker.instance().drain()
        EventsWorker.drain_all()
