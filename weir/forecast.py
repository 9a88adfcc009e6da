"""What would have to happen for the next step, and how long that takes at this traffic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from weir.decision import NextStep, Tally
from weir.durations import duration
from weir.evidence.assess import Assessment
from weir.evidence.guardrail import Verdict
from weir.evidence.guardrails import evidence_steps
from weir.rollout_state import RolloutState
from weir.spec.rollout import RolloutPolicy


class _Lack(NamedTuple):
    """One thing that is missing; ``seconds`` is None where nothing can be foretold."""

    words: str
    seconds: float | None


def next_step(
    policy: RolloutPolicy, state: RolloutState, judged: Assessment, now: datetime
) -> NextStep | None:
    """The lacks of the step, and when they are over if all goes on as since the split.

    The log of an e-value grows by a like amount for each request, so that its pace since the
    step's split foretells when it is enough. None while no split is effective.
    """
    if state.split_applied_at is None:
        return None
    seen_until = max(state.observed_until or state.split_applied_at, state.split_applied_at)
    elapsed = (seen_until - state.split_applied_at).total_seconds()
    lacks = [
        *_evidence(policy, state, judged, elapsed),
        *_requests(policy, state, elapsed),
        *_time(policy, state, judged, now),
    ]
    following = state.step + 1
    goal = "promotion" if following >= evidence_steps(policy) else f"{policy.steps[following]:g} %"
    if not lacks:
        return NextStep(words=f"{goal} follows", seconds=0.0, requests=0)
    said = "; ".join(lack.words for lack in lacks)
    if any(lack.seconds is None for lack in lacks):
        pace = "no forecast yet" if elapsed <= 0 else "at the present rates it does not come"
        return NextStep(words=f"for {goal}: {said} ({pace})")
    seconds = max(lack.seconds or 0.0 for lack in lacks)
    rate = state.step_counts.get(state.treatment, Tally()).requests / elapsed if elapsed else 0.0
    requests = math.ceil(seconds * rate)
    return NextStep(
        words=f"for {goal}: {said} (at this pace in about {duration(seconds)},"
        f" {requests:,} requests to {state.treatment})",
        seconds=seconds,
        requests=requests,
    )


def _evidence(
    policy: RolloutPolicy, state: RolloutState, judged: Assessment, elapsed: float
) -> Iterator[_Lack]:
    needed = -math.log10(policy.beta)
    for name, verdict in judged.verdicts.items():
        if verdict is Verdict.PASS:
            continue
        held = judged.evidence[name].log10_e_safe
        gained = held - state.gate_log10_e.get(name, 0.0)
        grows = gained > 0 and elapsed > 0
        missing = max(needed - held, 0.0)
        yield _Lack(
            f"{name} has to be proven at 1 in {1 / policy.beta:,.3g}, now 1 in {_odds(held)}",
            missing * elapsed / gained if grows else None,
        )


def _requests(policy: RolloutPolicy, state: RolloutState, elapsed: float) -> Iterator[_Lack]:
    for name in (state.treatment, state.control):
        served = state.step_counts.get(name, Tally()).requests
        missing = policy.minimum_requests - served
        if missing > 0:
            seconds = missing * elapsed / served if served and elapsed else None
            yield _Lack(f"{missing:,} more requests to {name}", seconds)


def _time(
    policy: RolloutPolicy, state: RolloutState, judged: Assessment, now: datetime
) -> Iterator[_Lack]:
    assert state.split_applied_at is not None
    in_step = policy.minimum_step_seconds - (now - state.split_applied_at).total_seconds()
    if in_step > 0:
        yield _Lack(f"{duration(in_step)} more of this step", in_step)
    if state.step + 1 >= evidence_steps(policy) and policy.soak_seconds > 0:
        proven = state.proven_at or now
        left = policy.soak_seconds - (now - proven).total_seconds()
        if left > 0:
            yield _Lack(f"soaking for {duration(left)}", left if judged.safe else None)


def _odds(log10_e: float) -> str:
    return f"{10 ** min(max(log10_e, 0.0), 12.0):,.2g}"
