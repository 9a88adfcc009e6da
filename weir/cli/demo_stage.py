"""What the demo needs around the releases: models to release, and traffic that never pauses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from weir.document import EndpointDocument
from weir.errors import PermanentError
from weir.local.disk import write_atomically
from weir.local.environments import Environments, Recipe
from weir.local.home import Home, default_home
from weir.local.traffic_counts import TrafficCounts, read_counts
from weir.ports import Platform
from weir.serving import SERVER

REQUESTS_PER_SECOND = 150
CLIENTS = 8
LONGEST_SECONDS = 600
MOST_REQUESTS = 200_000
STOP_SECONDS = 15.0
MODEL_ERROR = "model_error"


class Traffic:
    """Scoring requests from a process of their own: rows of a real data set, with the key."""

    def __init__(self, platform: Platform, endpoint: str, rows: Path) -> None:
        self._platform = platform
        self._endpoint = endpoint
        self._rows = rows
        self._process: subprocess.Popen[bytes] | None = None
        self._counters = Home(default_home()).endpoint(endpoint) / "traffic.json"
        self._counters.unlink(missing_ok=True)

    def start(self) -> None:
        """Requests flow from now on, until ``stop``, the bounds, or the end of this process."""
        uri = self._platform.traffic.scoring_uri(self._endpoint)
        key = self._counters.with_name("traffic.key")
        write_atomically(key, self._platform.traffic.keys(self._endpoint).primary)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "weir.local.traffic", "--uri", str(uri)),
                *("--key-file", str(key), "--requests", str(self._rows)),
                *("--rate", str(REQUESTS_PER_SECOND), "--clients", str(CLIENTS)),
                *("--counters", str(self._counters)),
                *("--duration-seconds", str(LONGEST_SECONDS)),
                *("--maximum-requests", str(MOST_REQUESTS)),
            ],
            start_new_session=True,
        )

    def stop(self) -> None:
        """No more requests; the counters are complete."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
        self._counters.with_name("traffic.key").unlink(missing_ok=True)

    def counts(self) -> TrafficCounts:
        """The newest count; zero before the first request."""
        return read_counts(self._counters) or TrafficCounts(started_at="", updated_at="")


def failures_of_ours(counts: TrafficCounts) -> int:
    """Failures that no model caused: gateway, connection, timeout."""
    return sum(count for cause, count in counts.causes.items() if cause != MODEL_ERROR)


def make_models(example: Path) -> None:
    """The example's models and request rows exist, made by its own train.py.

    Training runs in the environment that will serve the models, which the release then reuses.
    """
    home = Home(default_home())
    environments = Environments(home)
    digest = environments.ensure(Recipe(example / "requirements.txt", (SERVER,)))
    python = home.environment(digest) / "bin" / "python"
    trained = subprocess.run(
        [python, example / "train.py", "--out", example / "build"],
        capture_output=True,
        text=True,
        check=False,
    )
    if trained.returncode != 0:
        raise PermanentError(
            "demo.training_failed",
            f"train.py ended with {trained.returncode}: {trained.stderr.strip()[-500:]}",
            remedy="Correct examples/fraud/train.py, or check out the repository anew.",
            where=str(example / "train.py"),
        )


def is_ours(document: EndpointDocument, example: Path) -> bool:
    """Whether the endpoint was made by the demo."""
    source = document.settings or document.release
    return source is not None and Path(source.directory) == example


def went_as_told(
    document: EndpointDocument, counts: TrafficCounts, played: Sequence[tuple[str, str]]
) -> bool:
    """Whether the demo showed what it promises, as the endpoint and the callers saw it."""
    return (
        tuple(played) == (("v1", "Promoted"), ("v2", "Promoted"), ("v3", "RolledBack"))
        and document.endpoint.control == "v2"
        and document.endpoint.split is not None
        and document.endpoint.split.percentile("v2") == 100
        and counts.requests > 0
        and failures_of_ours(counts) == 0
    )
