"""The counts that a Bernoulli comparison looks at."""

from __future__ import annotations

from typing import NamedTuple


class Stratum(NamedTuple):
    """Requests and failures of both arms while their rates are taken as constant."""

    treatment_requests: int = 0
    treatment_failures: int = 0
    control_requests: int = 0
    control_failures: int = 0

    @property
    def failures(self) -> int:
        """Of both arms."""
        return self.treatment_failures + self.control_failures

    def plus(self, other: Stratum) -> Stratum:
        return Stratum(
            self.treatment_requests + other.treatment_requests,
            self.treatment_failures + other.treatment_failures,
            self.control_requests + other.control_requests,
            self.control_failures + other.control_failures,
        )

    def swapped(self) -> Stratum:
        """The control in the treatment's place."""
        return Stratum(
            self.control_requests,
            self.control_failures,
            self.treatment_requests,
            self.treatment_failures,
        )
