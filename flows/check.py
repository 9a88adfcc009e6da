"""Check: the new version alone scores the sample inputs."""

from __future__ import annotations

from prefect import flow

from tasks.check import score_samples
from tasks.narration import tell, tell_waiting


@flow(name="check")
def check(endpoint: str, platform: str = "local") -> None:
    """Score the samples of the release under way on its version alone.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
    """
    tell_waiting("scoring the samples")
    report = score_samples(endpoint, platform)
    if report.samples == 0:
        tell("checked: the replicas are healthy; the release file names no samples")
        return
    good = report.samples - report.failed
    tell(f"checked: {good} of {report.samples} samples, slowest {report.slowest_ms:.0f} ms")
