"""Calls that have to be refused, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from weir.errors import WeirError


def refused(call: Callable[[], object], within: float) -> WeirError:
    """The error of ``call``, which comes within the time."""
    began = time.monotonic()
    with pytest.raises(WeirError) as raised:
        call()
    taken = time.monotonic() - began
    assert taken < within, f"{taken:.1f} s until {raised.value}"
    return raised.value
