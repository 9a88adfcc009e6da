"""The common behaviour of every part of a release file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

DAY_SECONDS = 86_400
YEAR_SECONDS = 366 * DAY_SECONDS
"""Bounds: far beyond what anybody wants, and within what clocks, Envoy and the engine can take."""

LARGEST_COUNT = 10**9


class Part(BaseModel):
    """A frozen part of a release file; a field that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
