"""What happens to a rollout between two windows and shows in none of them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict


class What(StrEnum):
    """``begun``: all clocks start. ``looked``: no window was there, and time alone changed how the
    rollout stands. ``applied``: the gateway acknowledged the split of ``step``.
    """

    BEGUN = "begun"
    LOOKED = "looked"
    APPLIED = "applied"
    PAUSED = "paused"
    RESUMED = "resumed"


class Happening(BaseModel):
    """One of them, and when. ``by`` and ``why`` are those of a pause."""

    model_config = ConfigDict(frozen=True)

    what: What
    at: AwareDatetime
    step: int | None = None
    by: str = ""
    why: str = ""
