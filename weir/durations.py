"""Lengths of time for people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``38 s``, ``12.5 min``, ``3.1 h``, ``4 days``."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < most:
            return f"{_tenths(seconds / size):g} {unit}"
    return f"{_tenths(seconds / 86_400):g} days"


def _tenths(value: float) -> float:
    return round(value) if value >= 100 else round(value, 1)
