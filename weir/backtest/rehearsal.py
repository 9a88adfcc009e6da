"""One whole rollout on simulated traffic, through the state machine that releases use.

Pure: the random generator is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from weir import rollout
from weir.backtest.simulation import CONTROL, TREATMENT, Simulation, Traffic, Treatment
from weir.rollout import Action, Decision, Reason, RolloutState
from weir.spec.rollout import Dispersion, RolloutPolicy

FINE_WINDOWS = 25
"""A step's windows are simulated one by one up to here. Later ones are simulated several at a
time, as one longer window: never longer than 1/25 of the step so far, which is all that a time or
a number of requests can be too great by."""

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

OVER = (Action.PROMOTE, Action.ROLL_BACK, Action.ASK)


@dataclass(frozen=True)
class Ending:
    """How one rollout ended: ``action`` is promote, roll_back or ask.

    ``seconds`` since the rollout began, ``requests`` and ``failures`` of the treatment until then.
    ``reason`` tells a rollback on evidence (harm) from one for want of it. ``windows`` is what it
    took to simulate; ``cut`` a rollout that was given up after the most windows, which counts as
    undecided.
    """

    action: Action
    reason: Reason
    seconds: float
    requests: int
    failures: int
    windows: int
    cut: bool = False


def rehearse(
    policy: RolloutPolicy,
    simulation: Simulation,
    generator: np.random.Generator,
    most_windows: int,
    fine_windows: int = FINE_WINDOWS,
) -> Ending:
    """A rollout of ``policy`` from its first step until it is promoted, rolled back, or asks.

    A gateway that applies every split at once, telemetry without gaps, and nobody to answer.
    """
    lag = timedelta(seconds=policy.lag_seconds or 0)
    now = BEGINNING
    state = rollout.begin(policy, CONTROL, TREATMENT, now)
    state, decision = rollout.decide(policy, state, None, now)
    requests = failures = windows = 0
    while decision.action not in OVER and windows < most_windows:
        if state.split_applied_at is None:
            state = rollout.split_applied(state, now)
        split = rollout.percentiles(policy, state)
        start = rollout.next_window_start(state) or now
        number = rollout.next_window_id(state)
        end = start + _length(policy, state, start, fine_windows)
        window = simulation.window(generator, number, start, end, split)
        now = end + lag
        state, decision = rollout.decide(policy, state, window, now)
        windows += 1
        served = [window.of(TREATMENT)]
        if lag and decision.action is not Action.HOLD:
            # Served while telemetry was on its way: no evidence, but requests all the same.
            seconds = lag.total_seconds()
            served.append(simulation.served(generator, TREATMENT, seconds, split[TREATMENT]))
        requests += sum(counts.requests for counts in served)
        failures += sum(counts.failures for counts in served)
    return _ending(decision, (now - BEGINNING).total_seconds(), requests, failures, windows)


def _length(
    policy: RolloutPolicy, state: RolloutState, start: datetime, fine_windows: int
) -> timedelta:
    """How long the next window is: a whole number of the policy's windows."""
    window_seconds = policy.window_seconds
    since = (start - (state.split_applied_at or start)).total_seconds()
    # A dispersion counts windows; fewer and longer ones would prove later.
    exact = policy.dispersion is not Dispersion.NONE
    wanted = 1 if exact else math.floor(since / fine_windows / window_seconds)
    # No evidence from after the time at which the policy stops to wait.
    until_wait = policy.maximum_wait_seconds - (start - state.step_started_at).total_seconds()
    until_deadline = policy.deadline_seconds - (start - state.started_at).total_seconds()
    most = math.ceil(min(until_wait, until_deadline) / window_seconds)
    return timedelta(seconds=max(1, min(wanted, most)) * window_seconds)


def _ending(
    decision: Decision, seconds: float, requests: int, failures: int, windows: int
) -> Ending:
    cut = decision.action not in OVER
    action = Action.ASK if cut else decision.action
    return Ending(action, decision.reason, seconds, requests, failures, windows, cut)


@dataclass(frozen=True)
class Piece:
    """Rollouts ``first`` to ``first + rollouts`` of one scenario: what one process does at a time.

    Each rollout's chance depends on ``seed``, ``scenario`` and its number alone, so that it does
    not matter who simulates it. No further rollout begins once ``windows`` have been simulated.
    """

    policy: RolloutPolicy
    traffic: Traffic
    treatment: Treatment
    with_latencies: bool
    seed: int
    scenario: int
    first: int
    rollouts: int
    windows: int
    most_windows: int


def rehearse_piece(piece: Piece) -> Sequence[Ending]:
    """The endings of ``piece``, at least one; for a process of its own as well."""
    simulation = Simulation(piece.traffic, piece.treatment, with_latencies=piece.with_latencies)
    endings: list[Ending] = []
    spent = 0
    for number in range(piece.first, piece.first + piece.rollouts):
        generator = np.random.default_rng((piece.seed, piece.scenario, number))
        endings.append(rehearse(piece.policy, simulation, generator, piece.most_windows))
        spent += endings[-1].windows
        # The rollout that exceeds the budget is finished and counted: leaving it out would favour
        # the short ones.
        if spent >= piece.windows:
            break
    return endings
