"""What has to be proven at each step of the ramp, from coarse to the promotion margin."""

from __future__ import annotations

from dataclasses import dataclass

from weir.evidence.mixture import log_spaced

FIRST_GATE_RATIO = 4.0
WIDEST_GATE_SLACK = 0.1


@dataclass(frozen=True)
class Gate:
    """A step may end when "at least ``ratio`` times the control, plus ``slack``" is ruled out."""

    ratio: float
    slack: float


def gates(promote_margin: float, slack: float, count: int) -> tuple[Gate, ...]:
    """``count`` gates (0 or more); the last is exactly ``promote_margin`` and ``slack``.

    Ratios fall geometrically from 4 (or ``promote_margin``, if that is greater). The slack of a
    gate grows with its excess margin, slack * (ratio - 1) / (promote_margin - 1), up to 10 points:
    without failures on either arm only slack proves anything, and little traffic has to prove
    little.
    """
    return tuple(_gate(ratio, promote_margin, slack) for ratio in _ratios(promote_margin, count))


def widths(count: int) -> tuple[float, ...]:
    """``count`` factors by which other guardrails' gates are wider than the last one's, 1.

    The excess margins of the gates for failures: 6, 2.9 and 1 for three.
    """
    usual = 1.5
    return tuple((ratio - 1) / (usual - 1) for ratio in _ratios(usual, count))


def widened(share: float, factor: float) -> float:
    """``share`` times ``factor``, but no more than a half unless ``share`` is."""
    return max(share, min(share * factor, 0.5))


def _ratios(promote_margin: float, count: int) -> tuple[float, ...]:
    if count <= 1:
        return (promote_margin,) * count
    return log_spaced(max(FIRST_GATE_RATIO, promote_margin), promote_margin, count)


def _gate(ratio: float, promote_margin: float, slack: float) -> Gate:
    if ratio == promote_margin:
        return Gate(ratio, slack)
    grown = slack * (ratio - 1) / (promote_margin - 1)
    return Gate(ratio, max(slack, min(grown, WIDEST_GATE_SLACK)))
