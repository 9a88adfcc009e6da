"""Rollout: observe, decide, apply, record; until promoted or rolled back."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from tasks.artifacts import Pictures
from tasks.holding import opened
from tasks.narration import tell, tell_waiting
from tasks.traffic import shift_traffic
from weir.arriving import Misfit, misfit_in
from weir.document import Release
from weir.durations import duration
from weir.release import steps
from weir.release.observing import observe
from weir.rollout import Action, Decision, Reason
from weir.spec.rollout import OnInconclusive


@flow(name="rollout")
def rollout(endpoint: str, platform: str = "local") -> None:
    """Shift traffic step by step, as far as the evidence goes.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
    """
    chosen, ledger = opened(endpoint, platform)
    steps.start_rollout(chosen, ledger)
    pictures, asked, misfit = Pictures(), False, None
    while ledger.release().ending is None:
        decision = observe(chosen, ledger)
        misfit = tell_misfit(misfit_in(ledger.release().last_window), misfit)
        if moves_traffic(decision):
            split = shift_traffic(endpoint, platform)
            pictures.publish_step(ledger.read(), decision)
            if not decision.final:
                tell(f"advance: {decision.words}", split=split)
                tell_waiting(f"{split}: gathering evidence")
        elif decision.action is Action.ASK and decision.reason is Reason.DEADLINE:
            return
        elif decision.action is Action.ASK and not asked:
            tell(
                f"asks: {decision.words}; it goes on waiting until weir promote {endpoint},"
                f" weir rollback {endpoint} or enough evidence"
            )
        else:
            left = how_long(decision, ledger.release(), chosen.clock.now())
            tell_waiting(f"{ledger.read().endpoint.split}: {decision.words}{left}")
        asked = decision.action is Action.ASK
    if ledger.read().endpoint.split is not None:
        split = shift_traffic(endpoint, platform)
        tell(f"traffic: {split}", split=split)
    pictures.await_stored()


def tell_misfit(found: Misfit | None, told: Misfit | None) -> Misfit | None:
    """Tell that a version takes another share than it was to, once while only the figures change.

    It decides nothing. Evidence compares rates, which a wrong share does not bias; what suffers is
    exposure, more callers at risk or a longer wait, and that is for a person to look into. Returns
    what has been told last.
    """
    if found is None or found.is_like(told):
        return told
    tell(f"the split does not arrive: {found}")
    return found


def how_long(decision: Decision, release: Release, now: datetime) -> str:
    """Where no requests come, or a person is asked: how long that is waited for, and what then."""
    state, policy = release.rollout, release.spec.rollout
    if state is None or not (decision.action is Action.ASK or decision.reason is Reason.NO_TRAFFIC):
        return ""
    whole = (
        policy.deadline_seconds + state.paused_seconds - (now - state.started_at).total_seconds()
    )
    step = policy.maximum_wait_seconds - (now - state.step_started_at).total_seconds()
    if policy.on_inconclusive is OnInconclusive.ROLLBACK:
        seconds, then = min(whole, step), "it is rolled back"
    elif decision.action is Action.ASK or whole <= step:
        seconds, then = whole, "it is held"
    else:
        seconds, then = step, "it asks what to do"
    name = release.spec.endpoint.name
    return (
        f"; {duration(max(seconds, 0))} more at most, then {then}; weir promote {name} or"
        f" weir rollback {name} ends it now"
    )


def moves_traffic(decision: Decision) -> bool:
    return decision.action in (Action.ADVANCE, Action.PROMOTE, Action.ROLL_BACK)
