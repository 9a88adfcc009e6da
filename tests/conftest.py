"""One platform with a Prefect server for all tests of a worker: starting a server is costly.

`make test` spreads whole files over two workers of pytest-xdist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from tests.integration.lab import Lab


WITH_PREFECT = {
    "test_bad_input": "commands",
    "test_commands": "commands",
    "test_kills": "flows",
    "test_release_flow": "flows",
    "test_without_prefect": "flows",
}
"""Files that share a worker and so a Prefect server, by group. They take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: WITH_PREFECT.get(item.path.stem, "last"))


class _Files(LoadScopeScheduling):
    """Whole files go to a worker, and the groups of WITH_PREFECT together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return WITH_PREFECT.get(Path(file).stem, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Files:
    return _Files(config, log)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    from tests.integration.lab import Lab

    made = Lab(tmp_path_factory.mktemp("lab"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def _endpoints_end_with_their_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Those of fixtures with a wider scope stay as long as the fixtures."""
    if "lab" not in request.fixturenames:
        yield
        return
    lab: Lab = request.getfixturevalue("lab")
    before = set(lab.named)
    yield
    lab.remove(lab.named - before)
