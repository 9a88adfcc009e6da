"""The rollout policy: how traffic shifts, and what evidence has to show."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from weir.spec.base import DAY_SECONDS, LARGEST_COUNT, YEAR_SECONDS, Part
from weir.spec.guardrails import FailuresGuardrail, Guardrail, LatencyGuardrail


class FailureClass(StrEnum):
    """Why a request failed, as telemetry tells it."""

    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    OVERLOADED = "overloaded"
    CLIENT_ERROR = "client_error"


SMALLEST_BUDGET = 1e-12
MOST_GUARDRAILS = 12
MOST_STEPS = 100

COUNTED_BY_DEFAULT = (
    FailureClass.SERVER_ERROR,
    FailureClass.TIMEOUT,
    FailureClass.CONNECTION,
    FailureClass.OVERLOADED,
)


class OnInconclusive(StrEnum):
    """What happens when the evidence is not enough by the maximum wait. Never promotion."""

    HOLD = "hold"
    ROLLBACK = "rollback"


class Dispersion(StrEnum):
    """How failures that come in clumps are dealt with."""

    NONE = "none"
    ESTIMATED = "a/a-estimated"
    ROBUST = "robust"


class RolloutPolicy(Part):
    """Steps, guardrails, error budgets, windows and deadlines of a rollout."""

    steps: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (5, 25, 50, 100),
        min_length=1,
        max_length=MOST_STEPS,
        description="Percentiles of the treatment. The last, 100, is promotion: each step before"
        " it has to be opened by evidence, and [100] alone promotes without any.",
    )
    guardrails: tuple[Guardrail, ...] = Field(
        (FailuresGuardrail(), LatencyGuardrail()),
        min_length=1,
        max_length=MOST_GUARDRAILS,
        description="What the treatment is held to; each has a name of its own.",
    )
    alpha: float = Field(
        0.05,
        ge=SMALLEST_BUDGET,
        lt=1,
        description="Bound on rolling back a version that is not worse.",
    )
    beta: float = Field(
        0.05, ge=SMALLEST_BUDGET, lt=1, description="Bound on promoting a version that is worse."
    )
    dispersion: Dispersion = Field(
        Dispersion.NONE,
        description="Failures that come in clumps: none takes them as independent, a/a-estimated"
        " weakens evidence by what the control's own windows differ, robust judges whole windows.",
    )
    window_seconds: float = Field(
        5, ge=0.1, le=DAY_SECONDS, description="How often telemetry is read."
    )
    lag_seconds: float | None = Field(
        None,
        ge=0,
        le=DAY_SECONDS,
        description="Windows end this long ago; the platform's own lag when unset.",
    )
    minimum_requests: int = Field(
        100,
        ge=0,
        le=LARGEST_COUNT,
        description="Requests each version has to serve in a step before it may end.",
    )
    minimum_step_seconds: float = Field(
        0, ge=0, le=YEAR_SECONDS, description="The least time a step takes."
    )
    maximum_wait_seconds: float = Field(
        3600, gt=0, le=YEAR_SECONDS, description="How long a step may stay inconclusive."
    )
    deadline_seconds: float = Field(
        86_400,
        gt=0,
        le=YEAR_SECONDS,
        description="How long the rollout may take; then on_inconclusive answers.",
    )
    on_inconclusive: OnInconclusive = Field(
        OnInconclusive.HOLD, description="What a wait that is over leads to; never to promotion."
    )
    soak_seconds: float = Field(
        0,
        ge=0,
        le=YEAR_SECONDS,
        description="Time at the last step before 100 after the evidence suffices.",
    )
    failure_classes: tuple[FailureClass, ...] = Field(
        COUNTED_BY_DEFAULT, min_length=1, description="What counts as the version's failure."
    )

    @field_validator("steps")
    @classmethod
    def _steps_are_hundredths(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        hundredths = [round(step * 100) for step in steps]
        exact = all(
            abs(step * 100 - whole) < 1e-6 for step, whole in zip(steps, hundredths, strict=True)
        )
        if not exact or 0 in hundredths:
            raise ValueError("the finest step is 0.01")
        return tuple(whole / 100 for whole in hundredths)

    @model_validator(mode="after")
    def _steps_rise_to_one_hundred(self) -> Self:
        if any(
            later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)
        ):
            raise ValueError("steps have to rise, for example [5, 25, 50, 100]")
        if self.steps[-1] != 100:
            raise ValueError("the last step has to be 100")
        least = self.minimum_step_seconds * (len(self.steps) - 1) + self.soak_seconds
        if least >= self.deadline_seconds:
            raise ValueError(
                f"minimum_step_seconds and soak_seconds alone take {least:g} s, so that no rollout"
                f" ends before deadline_seconds, {self.deadline_seconds:g}"
            )
        names = [guardrail.called for guardrail in self.guardrails]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"several guardrails are called {twice[0]}; give one of them a name")
        return self
