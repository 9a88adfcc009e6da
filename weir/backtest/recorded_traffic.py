"""An endpoint's own traffic, as recorded windows tell it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from weir.backtest.simulation import MOST_REQUESTS_PER_MINUTE, USUAL_TRAFFIC, Latencies, Traffic
from weir.evidence.counting import counted
from weir.spec.rollout import FailureClass
from weir.window import Histogram, Window


def traffic_in(windows: Sequence[Window], classes: Sequence[FailureClass]) -> Traffic | None:
    """Requests of all versions per minute; failures of ``classes`` and latencies of the control.

    The control is the version with the largest share in the first window. None when it has no
    requests. A record without latencies has the usual ones.
    """
    if not windows or not windows[0].split:
        return None
    split = windows[0].split
    control = max(split, key=lambda name: split[name])
    seen = [window.of(control) for window in windows]
    requests = sum(counts.requests for counts in seen)
    if not requests:
        return None
    everything = sum(counts.requests for window in windows for counts in window.versions.values())
    seconds = sum((window.end - window.start).total_seconds() for window in windows)
    latencies = Histogram()
    for counts in seen:
        latencies = latencies.plus(counts.latency_ms)
    return Traffic(
        requests_per_minute=min(60 * everything / seconds, MOST_REQUESTS_PER_MINUTE),
        failure_rate=sum(counted(counts, classes).failures for counts in seen) / requests,
        latencies=Latencies.of(latencies) if latencies.total() else USUAL_TRAFFIC.latencies,
    )
