"""What a step lacks, apart from time, before it may end."""

from __future__ import annotations

from datetime import UTC

from weir.decision import Reason, Tally
from weir.evidence.assess import Assessment
from weir.evidence.guardrail import Verdict
from weir.rollout_state import RolloutState, idle_versions
from weir.spec.rollout import RolloutPolicy

IN_FLIGHT_ALWAYS = 3
IN_FLIGHT_TOLERANCE = 0.01
"""Requests under way to the treatment that never delay a step: a few, and a share of the step's."""


def lacking(
    policy: RolloutPolicy, state: RolloutState, judged: Assessment, telemetry_error: str
) -> tuple[Reason, str] | None:
    """What the step lacks before time alone can end it, in words; None when it lacks nothing."""
    minimum = policy.minimum_requests
    if state.telemetry_errors:
        said = f": {telemetry_error}" if telemetry_error else ""
        times = "once" if state.telemetry_errors == 1 else f"{state.telemetry_errors} times running"
        return Reason.TELEMETRY_ERROR, f"telemetry could not be read {times}{said}"
    if state.split_applied_at is None:
        return Reason.SPLIT_PENDING, "the gateway has not acknowledged the split yet"
    served = {
        name: state.step_counts.get(name, Tally()).requests
        for name in (state.treatment, state.control)
    }
    idle = [name for name, requests in served.items() if not requests]
    if idle:
        return Reason.NO_TRAFFIC, f"no requests to {' and '.join(idle)} in this step yet"
    gone = idle_versions(policy, state)
    if gone and state.pending is not None:
        since = f"{state.pending.since.astimezone(UTC):%H:%M:%S} UTC"
        return Reason.NO_TRAFFIC, f"no requests to {' and '.join(gone)} since {since}"
    if not judged.safe:
        unproven = [name for name, given in judged.verdicts.items() if given is not Verdict.PASS]
        return Reason.INSUFFICIENT, judged.words(unproven)
    few = {name: minimum - requests for name, requests in served.items() if requests < minimum}
    if few:
        missing = " and ".join(f"{count:,} more requests to {name}" for name, count in few.items())
        return Reason.MINIMUM_REQUESTS, f"waiting for {missing}"
    return _hanging(state)


def _hanging(state: RolloutState) -> tuple[Reason, str] | None:
    """More requests under way to the treatment than the control's share explains.

    A request that hangs is not seen before it ends, and one that ends after the step is no
    evidence. So a step ends only when what has not ended could not change the picture much.
    """
    treatment, control = (
        (state.in_flight.get(name, 0), state.step_counts[name].requests)
        for name in (state.treatment, state.control)
    )
    usual = control[0] / control[1] + IN_FLIGHT_TOLERANCE
    if treatment[0] <= IN_FLIGHT_ALWAYS + treatment[1] * usual:
        return None
    words = (
        f"waiting for the end of {treatment[0]} requests to {state.treatment}; {control[0]} are"
        f" under way to {state.control}"
    )
    return Reason.IN_FLIGHT, words
