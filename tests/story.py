"""A release as the flow tells it, without Prefect: for tests of the steps and of crashes.

``python -m tests.story HOME FILE`` is a process to be killed that starts in a second.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weir.document import Holder, PastRelease
from weir.errors import PermanentError
from weir.holding import this_process
from weir.local.platform import local_platform
from weir.ports import Platform
from weir.release import steps
from weir.release.beginning import begin
from weir.release.ledger import Ledger
from weir.release.observing import observe
from weir.rollout import Reason
from weir.spec.load import Loaded, load_release
from weir.spec.release import ReleaseSpec

MOST_WINDOWS = 2_000


def loaded(version: str, directory: Path = Path("/nowhere"), **rollout: Any) -> Loaded:
    """A release file's content for ``version`` of the model fraud, to endpoint fraud."""
    spec = ReleaseSpec.model_validate(
        {
            "endpoint": "fraud",
            "version_name": version,
            "model": {"name": "fraud", "version": version, "path": f"model-{version}"},
            "inference": {"command": ["serve", "{port}"]},
            "deployment": {"num_replicas": 2},
            "rollout": {"window_seconds": 5, **rollout},
        }
    )
    return Loaded(spec=spec, path=directory / "r.yaml", directory=directory, digest=f"d-{version}")


def release(
    platform: Platform,
    wanted: Loaded,
    holder: Holder | None = None,
    on_window: Callable[[Ledger], None] = lambda _: None,
    **options: bool,
) -> PastRelease:
    """The release from its beginning, or from where it stands, to its end."""
    holder = holder or this_process("", platform.clock.now())
    begun = begin(platform, wanted, holder, **options)
    if begun.ledger is None:
        assert begun.past is not None
        return begun.past
    ledger = begun.ledger
    if ledger.release().ending is None:
        try:
            steps.provision(platform, ledger)
            steps.build(platform, ledger)
            steps.deploy(platform, ledger)
            steps.await_ready(platform, ledger)
            steps.check(platform, ledger)
        except PermanentError as error:
            steps.give_up(ledger, error.reason, str(error))
    if ledger.release().deploy_only and ledger.release().ending is None:
        steps.leave_deployed(ledger)
    steps.start_rollout(platform, ledger)
    for _ in range(MOST_WINDOWS):
        if ledger.release().ending is not None:
            break
        decision = observe(platform, ledger)
        on_window(ledger)
        steps.apply_split(platform, ledger)
        if decision.reason is Reason.DEADLINE and not decision.final:
            raise AssertionError("held at the deadline")
    steps.apply_split(platform, ledger)
    steps.retire(platform, ledger)
    return steps.finish(platform, ledger).history[-1]


if __name__ == "__main__":
    print(release(local_platform(Path(sys.argv[1])), load_release(Path(sys.argv[2]))).outcome)
