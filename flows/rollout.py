"""Rollout: observe, decide, apply, record; until promoted or rolled back."""

from __future__ import annotations

from prefect import flow

from tasks.artifacts import Pictures
from tasks.holding import opened
from tasks.narration import tell, tell_waiting
from tasks.traffic import shift_traffic
from weir.arriving import Misfit, misfit_in
from weir.release import steps
from weir.release.observing import observe
from weir.rollout import Action, Decision, Reason


@flow(name="rollout")
def rollout(endpoint: str, platform: str = "local") -> None:
    """Shift traffic step by step, as far as the evidence goes.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, or a saved platform block.
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
            tell_waiting(f"{ledger.read().endpoint.split}: {decision.words}")
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


def moves_traffic(decision: Decision) -> bool:
    return decision.action in (Action.ADVANCE, Action.PROMOTE, Action.ROLL_BACK)
