"""A rollout that is driven window by window, and what it is made of."""

from datetime import UTC, datetime, timedelta

from weir.rollout import (
    Decision,
    begin,
    decide,
    next_window_id,
    next_window_start,
    percentiles,
    split_applied,
)
from weir.spec.guardrails import FailuresGuardrail
from weir.spec.rollout import RolloutPolicy
from weir.window import VersionCounts, Window

NOON = datetime(2025, 11, 24, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_policy(**fields: object) -> RolloutPolicy:
    return RolloutPolicy.model_validate(
        {
            "steps": (5, 50, 100),
            "guardrails": (FailuresGuardrail(),),
            "minimum_requests": 100,
            "maximum_wait_seconds": 600,
            **fields,
        }
    )


def arm(requests: int, failures: int = 0) -> VersionCounts:
    return VersionCounts(requests=requests, failures_by_class={"server_error": failures})


class Rollout:
    """A rollout that is driven window by window; each takes ten seconds."""

    def __init__(self, policy: RolloutPolicy | None = None) -> None:
        self.policy = policy or a_policy()
        self.now = NOON
        self.state = begin(self.policy, "v1", "v2", NOON)
        self.last = self.tick()
        self.apply_split()

    def apply_split(self) -> None:
        if self.state.step >= 0 and not self.last.final:
            self.state = split_applied(self.state, self.now)

    def window(self, control: VersionCounts, treatment: VersionCounts, **fields: object) -> Window:
        values = {
            "id": next_window_id(self.state),
            "start": next_window_start(self.state),
            "end": self.now + timedelta(seconds=10),
            "split": percentiles(self.policy, self.state),
            "versions": {"v1": control, "v2": treatment},
        }
        return Window.model_validate({**values, **fields})

    def see(self, control: VersionCounts, treatment: VersionCounts, **fields: object) -> Decision:
        window = self.window(control, treatment, **fields)
        self.now = self.now + timedelta(seconds=10)
        return self.tick(window)

    def tick(self, window: Window | None = None, error: str = "") -> Decision:
        self.state, self.last = decide(self.policy, self.state, window, self.now, error)
        return self.last

    def healthy(self) -> Decision:
        return self.see(arm(3000), arm(3000))

    def harmful(self) -> Decision:
        return self.see(arm(1000, 5), arm(100, 30))
