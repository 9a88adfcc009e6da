"""The guardrails that a policy may hold a treatment to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from weir.spec.base import DAY_SECONDS, Part

HIGHEST_QUANTILE = 99.98
"""Beyond it the engine's memory of the control, 20,000 requests, is too short for a threshold."""

LARGEST_MARGIN = 1000
LARGEST_VALUE = 1e12
CEILING_GAP = 1.5
NAME = r"^[a-z0-9]([a-z0-9_.:-]{0,61}[a-z0-9])?$"
REPORTED = r"^[a-z][a-z0-9_]{0,39}$"

Margin = Annotated[float, Field(le=LARGEST_MARGIN)]
Value = Annotated[float, Field(ge=0, le=LARGEST_VALUE)]
Latency = Annotated[float, Field(gt=0, le=DAY_SECONDS * 1000)]
Reported = Annotated[str, Field(pattern=REPORTED)]


class Worse(StrEnum):
    """In which direction a number gets worse."""

    HIGHER = "higher"
    LOWER = "lower"


class _Guardrail(Part):
    weight: Annotated[float, Field(ge=1e-6, le=1e6)] = Field(
        1, description="Share of alpha, relative to the other guardrails."
    )
    name: str | None = Field(
        None,
        pattern=NAME,
        description="What decisions call it; the metric, with what it is of, when unset.",
    )

    @property
    def called(self) -> str:
        """The name by which evidence and decisions know this guardrail."""
        return self.name or ":".join(self._title())

    def _title(self) -> tuple[str, ...]:
        raise NotImplementedError


class FailuresGuardrail(_Guardrail):
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

    def _title(self) -> tuple[str, ...]:
        return ("failures",)

    @model_validator(mode="after")
    def _margins_leave_a_gap(self) -> Self:
        _require_gap("margin", self.margin, self.promote_margin)
        return self


class SlowGuardrail(_Guardrail):
    """The share of requests slower than ``threshold_ms``, against the control's share.

    ``margin``, ``promote_margin`` and ``slack`` mean what they mean for failures.
    """

    metric: Literal["slow"] = Field("slow", description="Chooses this guardrail.")
    threshold_ms: Latency = Field(
        description="A request that takes longer is slow; rounded up to a bucket's bound, at most"
        " 4.4 % above."
    )
    margin: Margin = Field(
        1.25, ge=1, description="A share beyond this multiple of the control's rolls back."
    )
    promote_margin: Margin = Field(
        1.5, gt=1, description="A share below this multiple promotes; greater than margin."
    )
    slack: float = Field(0.005, ge=0, lt=1, description="Absolute: 0.005 is half a point.")

    def _title(self) -> tuple[str, ...]:
        return ("slow", f"{self.threshold_ms:g}ms")

    @model_validator(mode="after")
    def _margins_leave_a_gap(self) -> Self:
        _require_gap("margin", self.margin, self.promote_margin)
        return self


class LatencyGuardrail(_Guardrail):
    """The treatment's latency quantiles against the control's.

    Rolls back when "at most ``margin`` times slower, plus ``slack_ms``" is ruled out; promotes
    when, at every quantile, ``promote_margin`` times (plus ``slack_ms``) is ruled out, where the
    slower tail may be heavier by ``slack``.
    """

    metric: Literal["latency"] = Field("latency", description="Chooses this guardrail.")
    quantiles: tuple[Annotated[float, Field(gt=0, le=HIGHEST_QUANTILE)], ...] = Field(
        (50, 90, 99),
        min_length=1,
        max_length=10,
        description="Quantiles of latency that are compared.",
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

    def _title(self) -> tuple[str, ...]:
        return ("latency",)

    @field_validator("quantiles")
    @classmethod
    def _quantiles_differ(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        names = [quantile_name(quantile) for quantile in quantiles]
        if len(set(names)) != len(names):
            raise ValueError(f"a quantile is given twice: {', '.join(names)}")
        return quantiles

    @model_validator(mode="after")
    def _margins_leave_a_gap(self) -> Self:
        _require_gap("margin", self.margin, self.promote_margin)
        return self


class CeilingGuardrail(_Guardrail):
    """An absolute limit on the treatment's share of failed or slow requests; no comparison.

    Rolls back when "at most ``at_most``" is ruled out; promotes when "at least
    ``promote_at_most``" is ruled out.
    """

    metric: Literal["ceiling"] = Field("ceiling", description="Chooses this guardrail.")
    of: Literal["failures", "slow"] = Field("failures", description="What is limited.")
    threshold_ms: Latency | None = Field(
        None, description="For slow: a request that takes longer is slow."
    )
    at_most: float = Field(gt=0, lt=1, description="A greater share rolls back; 0.05 is 5 %.")
    promote_at_most: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="A share below it promotes; 1.5 times at_most when unset, and greater than it.",
    )

    def _title(self) -> tuple[str, ...]:
        return ("ceiling", self.of, *([f"{self.threshold_ms:g}ms"] if self.threshold_ms else []))

    @property
    def promoting_share(self) -> float:
        """``promote_at_most``, or what stands for it when unset."""
        return self.promote_at_most or min(CEILING_GAP * self.at_most, (1 + self.at_most) / 2)

    @model_validator(mode="after")
    def _limits_leave_a_gap(self) -> Self:
        if self.of == "slow" and self.threshold_ms is None:
            raise ValueError("a ceiling of slow needs threshold_ms")
        if self.of == "failures" and self.threshold_ms is not None:
            raise ValueError("threshold_ms goes with of: slow")
        _require_gap("at_most", self.at_most, self.promoting_share)
        return self


class MeanGuardrail(_Guardrail):
    """The mean of a number that versions report, against the control's mean.

    ``worse: higher`` rolls back when "at most ``margin`` times the control's mean plus
    ``allowance``" is ruled out, and promotes when ``promote_margin`` times plus
    ``promote_allowance`` is; ``lower`` divides by the margin and takes the allowance away. Margins
    suit numbers that are above 0; for others, margin 1 and an allowance.
    """

    metric: Literal["mean"] = Field("mean", description="Chooses this guardrail.")
    of: Reported = Field(description="The number, as versions report it.")
    worse: Worse = Field(Worse.HIGHER, description="The direction in which it gets worse.")
    margin: Margin = Field(
        1.05, ge=1, description="A mean beyond this multiple of the control's rolls back."
    )
    promote_margin: Margin = Field(
        1.1, ge=1, description="A mean within this multiple promotes; not less than margin."
    )
    allowance: Value = Field(0, description="In the number's own unit, on top of margin.")
    promote_allowance: Value = Field(
        0, description="The same for promotion; not less than allowance."
    )

    def _title(self) -> tuple[str, ...]:
        return ("mean", self.of)

    @model_validator(mode="after")
    def _margins_leave_a_gap(self) -> Self:
        wider = self.promote_margin > self.margin or self.promote_allowance > self.allowance
        if (
            self.promote_margin < self.margin
            or self.promote_allowance < self.allowance
            or not wider
        ):
            raise ValueError(
                "promotion has to allow more than rollback does: promote_margin greater than"
                " margin or promote_allowance than allowance, and neither smaller"
            )
        return self


class ScoreGuardrail(_Guardrail):
    """The mean of a score between 0 and 1 that versions report, against the control's.

    Exact, whatever the scores' distribution. Rolls back when "worse by at most ``slack``" is ruled
    out; promotes when "worse by at least ``promote_slack``" is ruled out.
    """

    metric: Literal["score"] = Field("score", description="Chooses this guardrail.")
    of: Reported = Field(description="The score, as versions report it; every value in 0 to 1.")
    worse: Worse = Field(Worse.LOWER, description="The direction in which it gets worse.")
    slack: float = Field(0.02, ge=0, lt=1, description="Absolute difference of the means.")
    promote_slack: float = Field(0.05, gt=0, lt=1, description="Greater than slack.")

    def _title(self) -> tuple[str, ...]:
        return ("score", self.of)

    @model_validator(mode="after")
    def _slacks_leave_a_gap(self) -> Self:
        _require_gap("slack", self.slack, self.promote_slack)
        return self


class DriftGuardrail(_Guardrail):
    """How far the distribution of a label that versions report (a prediction) moves.

    The distance is the greatest difference in the share of any set of values (total variation).
    Rolls back when "at most ``tolerance``" is ruled out; promotes when "at least
    ``promote_tolerance``" is ruled out for the set that has moved the most so far.
    """

    metric: Literal["drift"] = Field("drift", description="Chooses this guardrail.")
    of: Reported = Field("prediction", description="The label, as versions report it.")
    tolerance: float = Field(0.1, ge=0, lt=1, description="0.1 is ten points.")
    promote_tolerance: float = Field(0.2, gt=0, lt=1, description="Greater than tolerance.")

    def _title(self) -> tuple[str, ...]:
        return ("drift", self.of)

    @model_validator(mode="after")
    def _tolerances_leave_a_gap(self) -> Self:
        _require_gap("tolerance", self.tolerance, self.promote_tolerance)
        return self


Guardrail = Annotated[
    FailuresGuardrail
    | SlowGuardrail
    | LatencyGuardrail
    | CeilingGuardrail
    | MeanGuardrail
    | ScoreGuardrail
    | DriftGuardrail,
    Field(discriminator="metric"),
]


def quantile_name(quantile: float) -> str:
    """``p99`` for 99."""
    return f"p{quantile:g}"


def _require_gap(field: str, back: float, promote: float) -> None:
    if promote <= back:
        raise ValueError(
            f"promote_{field} {promote:g} has to be greater than {field} {back:g},"
            " or a version between them is never decided"
        )
