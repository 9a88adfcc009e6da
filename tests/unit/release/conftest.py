from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.beating import await_end, with_store
from tests.fakes.world import World, world


@pytest.fixture
def nothing_beats_after_a_test() -> Iterator[None]:
    yield
    await_end()


@pytest.fixture
def there() -> World:
    """A world whose store tells when it was read and written."""
    return with_store(world())
