"""Safety tests at the gates of a ramp: two states, however many steps there are.

Only two gates are ever of interest: the one that the current step has to pass, and the last one,
which carries the guarantee and gathers evidence from the first window on. The test of a gate in
between begins with its step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from weir.evidence.compact import Compact
from weir.evidence.mixture import Wealth
from weir.evidence.normal import Windows

Data_contra = TypeVar("Data_contra", contravariant=True)
Data = TypeVar("Data")
State = Wealth | Windows


class EProcess(Protocol[Data_contra]):
    """An e-process; see ``bernoulli`` for the contract of ``update``."""

    def start(self) -> State: ...

    def update(self, held: State, data: Data_contra, phi: float = 1.0, /) -> State: ...


@dataclass(frozen=True, slots=True)
class Gated(Compact):
    """``current`` is the state of gate number ``gate``; None where that is the last one."""

    last: State
    current: State | None = None
    gate: int = 0


@dataclass(frozen=True)
class Ramp(Generic[Data]):
    """One test for each gate, at least one."""

    tests: tuple[EProcess[Data], ...]

    def start(self) -> Gated:
        single = len(self.tests) == 1
        return Gated(self.tests[-1].start(), None if single else self.tests[0].start())

    def update(self, held: Gated, gate: int, data: Sequence[Data], phi: float = 1.0) -> Gated:
        """After a window at step ``gate``; ``data`` is what the last and the current gate see."""
        last = self.tests[-1].update(held.last, data[0], phi)
        if gate >= len(self.tests) - 1:
            return Gated(last, None, gate)
        test = self.tests[gate]
        current = held.current if held.gate == gate and held.current is not None else test.start()
        return Gated(last, test.update(current, data[1], phi), gate)

    def log_e(self, held: Gated, gate: int) -> float:
        """Natural log of the e-value at ``gate``; 0 for a gate whose step has not begun."""
        if gate >= len(self.tests) - 1:
            return held.last.log_e
        if held.gate == gate and held.current is not None:
            return held.current.log_e
        return 0.0
