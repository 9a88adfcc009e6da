"""The rollout policy: how traffic shifts, and what evidence has to show."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from weir.spec.base import DAY_SECONDS, LARGEST_COUNT, YEAR_SECONDS, Part


class FailureClass(StrEnum):
    """Why a request failed, as telemetry tells it."""

    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    OVERLOADED = "overloaded"
    CLIENT_ERROR = "client_error"


HIGHEST_QUANTILE = 99.98
"""Beyond it the engine's memory of the control, 20,000 requests, is too short for a threshold."""

LARGEST_MARGIN = 1000
SMALLEST_BUDGET = 1e-12
Margin = Annotated[float, Field(le=LARGEST_MARGIN)]
Weight = Annotated[float, Field(ge=1e-6, le=1e6)]

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


class FailuresGuardrail(Part):
    """The treatment's failure rate against the control's.

    Rolls back when "at most ``margin`` times the control's rate plus ``slack``" is ruled out;
    promotes when "at least ``promote_margin`` times plus ``slack``" is ruled out.
    """

    metric: Literal["failures"] = Field("failures", description="Chooses this guardrail.")
    margin: Margin = Field(
        1.25, ge=1, description="A failure rate beyond this multiple of the control's rolls back."
    )
    promote_margin: Margin = Field(
        1.5, gt=1, description="A rate below this multiple promotes; greater than margin."
    )
    slack: float = Field(
        0.002,
        ge=0,
        lt=1,
        description="Absolute: 0.002 is 0.2 points. Without failures only slack proves anything.",
    )
    weight: Weight = Field(1, description="Share of alpha, relative to the other guardrails.")

    @model_validator(mode="after")
    def _margins_leave_a_gap(self) -> Self:
        _require_gap(self.margin, self.promote_margin)
        return self


class LatencyGuardrail(Part):
    """The treatment's latency quantiles against the control's.

    Rolls back when "at most ``margin`` times slower, plus ``slack_ms``" is ruled out; promotes
    when, at every quantile, ``promote_margin`` times (plus ``slack_ms``) is ruled out, where the
    slower tail may be heavier by ``slack``.
    """

    metric: Literal["latency"] = Field("latency", description="Chooses this guardrail.")
    quantiles: tuple[Annotated[float, Field(gt=0, le=HIGHEST_QUANTILE)], ...] = Field(
        (50, 90, 99), min_length=1, description="Quantiles of latency that are compared."
    )
    margin: Margin = Field(
        1.41, ge=1, description="A quantile beyond this multiple of the control's rolls back."
    )
    promote_margin: Margin = Field(
        2.0, gt=1, description="Quantiles below this multiple promote; greater than margin."
    )
    slack_ms: float = Field(
        5,
        ge=0,
        le=DAY_SECONDS * 1000,
        description="Milliseconds on top of either margin that nobody minds.",
    )
    slack: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="Share of requests, for promotion: 0.01 is one point. Never more than a quarter"
        " of the tail: a quarter of a point at the quantile 99.",
    )
    weight: Weight = Field(1, description="Share of alpha, relative to the other guardrails.")

    @field_validator("quantiles")
    @classmethod
    def _quantiles_differ(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        names = [quantile_name(quantile) for quantile in quantiles]
        if len(set(names)) != len(names):
            raise ValueError(f"a quantile is given twice: {', '.join(names)}")
        return quantiles

    @model_validator(mode="after")
    def _margins_leave_a_gap(self) -> Self:
        _require_gap(self.margin, self.promote_margin)
        return self


def quantile_name(quantile: float) -> str:
    """``p99`` for 99."""
    return f"p{quantile:g}"


def _require_gap(margin: float, promote_margin: float) -> None:
    if promote_margin <= margin:
        raise ValueError(
            f"promote_margin {promote_margin:g} has to be greater than margin {margin:g},"
            " or a version between them is never decided"
        )


Guardrail = Annotated[FailuresGuardrail | LatencyGuardrail, Field(discriminator="metric")]


class RolloutPolicy(Part):
    """Steps, guardrails, error budgets, windows and deadlines of a rollout."""

    steps: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (5, 25, 50, 100),
        min_length=1,
        description="Percentiles of the treatment. The last, 100, is promotion: each step before"
        " it has to be opened by evidence, and [100] alone promotes without any.",
    )
    guardrails: tuple[Guardrail, ...] = Field(
        (FailuresGuardrail(), LatencyGuardrail()),
        min_length=1,
        description="What the treatment is held to, at most one of each metric.",
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
        kinds = [guardrail.metric for guardrail in self.guardrails]
        if len(set(kinds)) != len(kinds):
            raise ValueError("one guardrail per metric")
        return self
