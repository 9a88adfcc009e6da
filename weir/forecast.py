"""What would have to happen for the next step, and how long that takes at this traffic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from weir.decision import NextStep, Tally
from weir.durations import duration
from weir.evidence.assess import Assessment
from weir.evidence.guardrails import evidence_steps
from weir.rollout_state import RolloutState, idle_versions, is_overdue
from weir.spec.rollout import RolloutPolicy


class _Lack(NamedTuple):
    """One thing that is missing; ``seconds`` is None where nothing can be foretold."""

    words: str
    seconds: float | None


def next_step(
    policy: RolloutPolicy, state: RolloutState, judged: Assessment, now: datetime
) -> NextStep | None:
    """The lacks of the step, and when they are over if all goes on as in its windows so far.

    The log of an e-value grows by a like amount for each request, so that its pace since the step
    began foretells when it is enough. None while no split is effective.
    """
    if state.split_applied_at is None:
        return None
    evidence = list(_evidence(policy, state, judged))
    blocked = list(_blocked(policy, state, now))
    lacks = [
        *evidence,
        *_requests(policy, state),
        *_time(policy, state, now),
        *_soak(policy, state, evidence, now),
        *blocked,
    ]
    goal = _goal(policy, state)
    if not lacks:
        return NextStep(words=f"{goal} follows", seconds=0.0, requests=0, goal=goal)
    words = f"for {goal}: {'; '.join(lack.words for lack in lacks)}"
    waits = [lack.seconds for lack in lacks if lack.seconds is not None]
    if len(waits) < len(lacks):
        return NextStep(words=f"{words}{'' if blocked else _no_forecast(state, judged)}", goal=goal)
    seconds, rate = max(waits), _served(state, state.treatment) / (state.step_seconds or math.inf)
    requests = math.ceil(seconds * rate)
    pace = f"at this pace in about {duration(seconds)}, {requests:,} requests to {state.treatment}"
    return NextStep(words=f"{words} ({pace})", seconds=seconds, requests=requests, goal=goal)


def _goal(policy: RolloutPolicy, state: RolloutState) -> str:
    return "promotion" if _is_last(policy, state) else f"{policy.steps[state.step + 1]:g} %"


def _is_last(policy: RolloutPolicy, state: RolloutState) -> bool:
    return state.step + 1 >= evidence_steps(policy)


def _no_forecast(state: RolloutState, judged: Assessment) -> str:
    # Exactly 0 is a test that has not begun to speak.
    silent = any(found.log10_e_safe == 0.0 for found in judged.evidence.values())
    if silent or state.step_seconds <= 0:
        return " (no forecast yet)"
    return " (no forecast yet: at the rates so far it does not come)"


def _evidence(policy: RolloutPolicy, state: RolloutState, judged: Assessment) -> Iterator[_Lack]:
    needed = -math.log10(policy.beta)
    for name, found in judged.evidence.items():
        held = found.log10_e_safe
        if held >= needed:
            continue
        gained = held - state.gate_log10_e.get(name, 0.0)
        grows = gained > 0 and state.step_seconds > 0
        yield _Lack(
            f"{name} has to be proven at 1 in {1 / policy.beta:,.3g}, now 1 in {_odds(held)}",
            (needed - held) * state.step_seconds / gained if grows else None,
        )


def _requests(policy: RolloutPolicy, state: RolloutState) -> Iterator[_Lack]:
    for name in (state.treatment, state.control):
        served = _served(state, name)
        missing = max(policy.minimum_requests, 1) - served
        if missing > 0:
            seconds = missing * state.step_seconds / served if served else None
            yield _Lack(f"{missing:,} more request{'s' if missing > 1 else ''} to {name}", seconds)


def _time(policy: RolloutPolicy, state: RolloutState, now: datetime) -> Iterator[_Lack]:
    assert state.split_applied_at is not None
    in_step = policy.minimum_step_seconds - (now - state.split_applied_at).total_seconds()
    if in_step > 0:
        yield _Lack(f"{duration(in_step)} more of this step", in_step)


def _soak(
    policy: RolloutPolicy, state: RolloutState, evidence: list[_Lack], now: datetime
) -> Iterator[_Lack]:
    """The soak begins when the last evidence is there."""
    if not _is_last(policy, state) or policy.soak_seconds <= 0:
        return
    if not evidence:
        left = policy.soak_seconds - (now - (state.proven_at or now)).total_seconds()
        if left > 0:
            yield _Lack(f"soaking for {duration(left)}", left)
        return
    waits = [lack.seconds for lack in evidence if lack.seconds is not None]
    proven = max(waits) if len(waits) == len(evidence) else None
    yield _Lack(
        f"then soaking for {duration(policy.soak_seconds)}",
        None if proven is None else proven + policy.soak_seconds,
    )


def _blocked(policy: RolloutPolicy, state: RolloutState, now: datetime) -> Iterator[_Lack]:
    """What no traffic brings about."""
    if state.telemetry_errors:
        yield _Lack("telemetry has to be readable again", None)
    for name in idle_versions(policy, state):
        yield _Lack(f"requests to {name} have to come again", None)
    if state.paused is not None:
        yield _Lack("the pause has to end", None)
    if is_overdue(policy, state, now) and not _is_last(policy, state):
        yield _Lack("a person has to decide, as the deadline is over", None)


def _served(state: RolloutState, name: str) -> int:
    return state.step_counts.get(name, Tally()).requests


def _odds(log10_e: float) -> str:
    return f"{10 ** min(max(log10_e, 0.0), 12.0):,.2g}"
