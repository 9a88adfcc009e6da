"""Rollout: observe, decide, apply, record; until promoted or rolled back."""

from __future__ import annotations

from prefect import flow

from tasks.artifacts import Pictures
from tasks.holding import opened
from tasks.narration import tell, tell_waiting
from tasks.traffic import shift_traffic
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
    pictures, asked = Pictures(), False
    while ledger.release().ending is None:
        decision = observe(chosen, ledger)
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


def moves_traffic(decision: Decision) -> bool:
    return decision.action in (Action.ADVANCE, Action.PROMOTE, Action.ROLL_BACK)
