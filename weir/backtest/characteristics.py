"""What a policy would do to versions that are equal, worse, and much worse, before it ships.

Pure: whole rollouts on simulated traffic (``rehearsal``), counted and summed up. The same policy,
traffic, runs and seed give the same report, however the work is shared out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from weir.backtest.rehearsal import Ending, Piece, rehearse_piece
from weir.backtest.report import Report, Scenario, Worse, row_of
from weir.backtest.simulation import Traffic
from weir.errors import UserError
from weir.spec.guardrails import (
    CeilingGuardrail,
    FailuresGuardrail,
    Guardrail,
    LatencyGuardrail,
    SlowGuardrail,
)
from weir.spec.rollout import RolloutPolicy

WINDOWS_IN_ALL = 60_000
"""Windows that a backtest of the default policy may simulate, whatever the clock says: the engine
and the draws take about 0.4 ms for each, and a backtest may take 30 s of two cores."""

ROUNDS = 4
PIECES = 4
"""What one round has left over goes to scenarios that lack rollouts; each is done in pieces."""

LONG_ROLLOUT_WINDOWS = 400
"""A piece has the windows for one long rollout at least, or there are fewer pieces."""

LEAST_LEFT = 0.05
"""Less than this share of the windows is not worth another round."""

TIMES_FAILING = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 50.0)
TIMES_SLOWER = (1.25, 1.5, 2.0, 3.0)

SIMULATED = ("failures", "latency", "slow", "ceiling")


Mapped = Callable[
    [Callable[[Piece], Sequence[Ending]], Sequence[Piece]], Iterable[Sequence[Ending]]
]
"""``map``, or a pool's: the answers in the order of the pieces."""


def backtest(
    policy: RolloutPolicy,
    traffic: Traffic,
    *,
    runs: int,
    seed: int,
    mapped: Mapped = map,
    scenarios: Sequence[Scenario] | None = None,
    windows: int = WINDOWS_IN_ALL,
    pieces: int = PIECES,
) -> Report:
    """At most ``runs`` rollouts of every scenario; fewer when they take too many windows.

    ``windows`` is what a policy of the default's size may simulate; see ``_affordable``.
    Raises UserError when no guardrail can be simulated, or when worse than the traffic's failure
    rate is no worse.
    """
    simulated, left_out = simulable(policy)
    chosen = tuple(scenarios) if scenarios is not None else scenarios_of(simulated)
    if traffic.failure_rate <= 0 and any(one.worse_in is Worse.FAILURES for one in chosen):
        raise UserError(
            "backtest.no_failures",
            "a version that fails many times as often as never does not fail either.",
            remedy="Give the share that usually fails, such as --failure-rate 0.001.",
        )
    budget = _affordable(simulated, windows)
    endings = _simulate(simulated, traffic, chosen, runs, seed, mapped, budget, pieces)
    return Report(
        traffic=traffic,
        rows=tuple(
            row_of(scenario, traffic, found)
            for scenario, found in zip(chosen, endings, strict=True)
        ),
        runs=runs,
        seed=seed,
        windows=sum(ending.windows for found in endings for ending in found),
        left_out=left_out,
    )


def simulable(policy: RolloutPolicy) -> tuple[RolloutPolicy, tuple[str, ...]]:
    """The policy with the guardrails that can be simulated, and the metrics of the others."""
    kept = tuple(one for one in policy.guardrails if one.metric in SIMULATED)
    left_out = tuple(one.called for one in policy.guardrails if one.metric not in SIMULATED)
    if not kept:
        raise UserError(
            "backtest.not_simulated",
            f"no guardrail of the policy can be simulated, only {' and '.join(SIMULATED)} can.",
            remedy="Replay recorded windows with weir judge instead.",
        )
    return (policy.model_copy(update={"guardrails": kept}) if left_out else policy), left_out


def scenarios_of(policy: RolloutPolicy) -> tuple[Scenario, ...]:
    """An equal version, and versions that are worse in what the policy guards."""
    watched = [_watched(guardrail) for guardrail in policy.guardrails]
    failing = TIMES_FAILING if Worse.FAILURES in watched else ()
    slower = TIMES_SLOWER if Worse.LATENCY in watched else ()
    return (
        Scenario(),
        *(Scenario(Worse.FAILURES, times) for times in failing),
        *(Scenario(Worse.LATENCY, times) for times in slower),
    )


def _watched(guardrail: Guardrail) -> Worse:
    """In what a version has to be worse for this guardrail to see it."""
    match guardrail:
        case FailuresGuardrail() | CeilingGuardrail(of="failures"):
            return Worse.FAILURES
        case SlowGuardrail() | LatencyGuardrail() | CeilingGuardrail():
            return Worse.LATENCY
        case _:
            return Worse.NOTHING


def _affordable(policy: RolloutPolicy, windows: int) -> int:
    """``windows``, fewer for a policy whose windows cost more than the default's.

    A window costs about a unit for every pair of something compared and a gate, and three more
    for what is done once for each that is compared.
    """
    compared = sum(len(getattr(one, "quantiles", (None,))) for one in policy.guardrails)
    default = RolloutPolicy()
    usual = sum(len(getattr(one, "quantiles", (None,))) for one in default.guardrails)
    units = compared * (len(policy.steps) + 2) / (usual * (len(default.steps) + 2))
    return max(1, int(windows / max(units, 0.5)))


def _simulate(
    policy: RolloutPolicy,
    traffic: Traffic,
    scenarios: Sequence[Scenario],
    runs: int,
    seed: int,
    mapped: Mapped,
    budget: int,
    most_pieces: int,
) -> list[list[Ending]]:
    """Every scenario's endings. Budgets are shares fixed before a round, so that they depend on
    no clock and on nobody's speed."""
    endings: list[list[Ending]] = [[] for _ in scenarios]
    begun = [0] * len(scenarios)
    left = budget
    each = max(1, budget // len(scenarios))
    most_pieces = max(1, min(most_pieces, each // LONG_ROLLOUT_WINDOWS))
    most_windows = each // most_pieces
    with_latencies = any(_watched(one) is Worse.LATENCY for one in policy.guardrails)
    for _ in range(ROUNDS):
        lacking = [number for number, found in enumerate(endings) if len(found) < runs]
        if not lacking or left <= LEAST_LEFT * budget:
            break
        pieces: list[Piece] = []
        for number in lacking:
            for rollouts in _parts(runs - len(endings[number]), most_pieces):
                share = max(1, left // (len(lacking) * most_pieces))
                treatment = scenarios[number].treatment
                pieces.append(
                    Piece(
                        policy=policy,
                        traffic=traffic,
                        treatment=treatment,
                        with_latencies=with_latencies,
                        seed=seed,
                        scenario=number,
                        first=begun[number],
                        rollouts=rollouts,
                        windows=share,
                        most_windows=most_windows,
                    )
                )
                begun[number] += rollouts
        for piece, found in zip(pieces, mapped(rehearse_piece, pieces), strict=True):
            endings[piece.scenario].extend(found)
            left -= sum(ending.windows for ending in found)
    return endings


def _parts(whole: int, most: int) -> list[int]:
    """``whole`` in at most ``most`` parts, as equal as can be, none of them empty."""
    number = min(whole, most)
    return [whole // number + (part < whole % number) for part in range(number)]
