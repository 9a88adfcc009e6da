"""The common behaviour of every part of a release file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen part of a release file; a field that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
