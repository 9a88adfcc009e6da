"""Entry scripts on the real model server, in environments that uv really builds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.eventually import eventually
from weir.endpoint import Version
from weir.errors import PermanentError, VersionUnhealthy
from weir.local.environments import Environments
from weir.local.home import Home
from weir.local.images import LocalImages
from weir.local.supervisor import stop_everything
from weir.local.workloads import LocalWorkloads
from weir.ports import BuildContext, Replica
from weir.readiness import wait_until_ready
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference

SCORE = """
import json, os, time
from azureml_inference_server_http.api.aml_response import AMLResponse

def init():
    global model
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.txt")) as file:
        model = file.read()

def run(raw_data):
    asked = json.loads(raw_data)
    if asked.get("defect"):
        raise ValueError("a defect")
    time.sleep(asked.get("sleep_seconds", 0))
    if "report" in asked:
        report = {"x-weir-metrics": asked["report"]}
        return AMLResponse({"model": model}, 200, report, json_str=True)
    return {"model": model}
"""

BROKEN = """
def init():
    raise RuntimeError("the feature list is missing")

def run(raw_data):
    return {}
"""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Place:
    """A home with the platform's adapters, and releases to build in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.images = LocalImages(self.home)
        self.workloads = LocalWorkloads(self.home)

    def context(self, name: str, script: str, requirements: str | None = None) -> BuildContext:
        source = self.folder / name
        source.mkdir(exist_ok=True)
        (source / "score.py").write_text(script)
        (self.folder / "model.txt").write_text("weights")
        wanted = None
        if requirements is not None:
            wanted = source / "requirements.txt"
            wanted.write_text(requirements)
        inference = Inference(entry_script="score.py")
        return BuildContext(self.folder / "model.txt", source, wanted, inference)

    def run(self, name: str, script: str) -> Replica:
        context = self.context(name, script)
        version = Version(
            name=name,
            image=self.images.build(context).digest,
            release="r",
            inference=context.inference,
            deployment=Deployment(num_replicas=1, scoring_timeout_ms=3000),
        )
        self.workloads.apply("fraud", version)
        status = wait_until_ready(
            self.workloads, "fraud", name, timeout_seconds=90, clock=SystemClock()
        )
        return status.replicas[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("model-server"))
    try:
        yield place
    finally:
        stop_everything(place.home)


@pytest.fixture(scope="module")
def served(place: Place) -> Replica:
    return place.run("v1", SCORE)


def score(replica: Replica, body: dict[str, object]) -> requests.Response:
    return requests.post(f"http://{replica.address}/score", json=body, timeout=10)


def test_an_entry_script_scores_with_its_model(served: Replica) -> None:
    assert score(served, {}).json() == {"model": "weights"}


def test_an_entry_script_reports_numbers_of_its_answer(served: Replica) -> None:
    answer = score(served, {"report": "score=0.5, amount=3"})
    assert (answer.status_code, answer.json()) == (200, {"model": "weights"})
    # In one line of header for each; the gateway joins them.
    assert answer.raw.headers.getlist("x-weir-metrics") == ["score=0.5", "amount=3"]


def test_an_exception_in_run_is_a_500_and_the_server_goes_on(served: Replica) -> None:
    assert score(served, {"defect": True}).status_code == 500
    assert score(served, {}).status_code == 200


def test_the_server_listens_on_loopback_only(served: Replica) -> None:
    port = int(served.address.split(":")[1])
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    lines = [line.split() for table in tables if table.exists() for line in _lines(table)]
    listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{port:04X}")]
    assert listening == [f"0100007F:{port:04X}"]


def _lines(table: Path) -> list[str]:
    return table.read_text().splitlines()[1:]


def test_a_hanging_score_ends_with_the_scoring_timeout(served: Replica) -> None:
    answer = score(served, {"sleep_seconds": 8})
    assert answer.status_code == 500
    assert 3.0 <= answer.elapsed.total_seconds() < 6.0


def test_a_failing_init_is_told_with_its_cause_and_last_lines(place: Place) -> None:
    begun = time.monotonic()
    with pytest.raises(VersionUnhealthy) as raised:
        place.run("v2", BROKEN)
    assert raised.value.reason == "workload.crashed"
    assert "Cause: RuntimeError: the feature list is missing" in raised.value.message
    assert "Worker failed to boot" in raised.value.message
    assert time.monotonic() - begun < 45
    place.workloads.remove("fraud", "v2")
    kept = place.workloads.logs("fraud", "v2", 60)["fraud.v2.0"]
    assert any("feature list" in line for line in kept)


def test_a_request_in_flight_is_answered_while_the_version_is_removed(place: Place) -> None:
    replica = place.run("v3", SCORE)
    answers: list[int] = []

    def ask() -> None:
        answers.append(score(replica, {"sleep_seconds": 2}).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: _connections(replica) > 0)
    place.workloads.remove("fraud", "v3")
    asking.join()
    assert answers == [200]
    assert place.workloads.status("fraud", "v3") is None


def _connections(replica: Replica) -> int:
    port = f":{int(replica.address.split(':')[1]):04X}"
    lines = [line.split() for line in _lines(Path("/proc/net/tcp"))]
    return sum(line[1].endswith(port) and line[3] == "01" for line in lines)


@pytest.mark.usefixtures("served")
def test_releases_with_the_same_requirements_share_an_environment(place: Place) -> None:
    def no_uv(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        raise AssertionError("uv must not run again")

    images = LocalImages(place.home, Environments(Home(place.home), run=no_uv))
    assert images.build(place.context("v4", SCORE + "\n# other")).built
    assert (next(Home(place.home).environments.glob("*/resolved.txt"))).read_text().count("==") > 5


def test_requirements_that_do_not_resolve_are_told_in_the_words_of_uv(place: Place) -> None:
    context = place.context("v5", SCORE, "flask==3.0.0\nflask==3.1.0\n")
    with pytest.raises(PermanentError) as raised:
        place.images.build(context)
    assert raised.value.reason == "image.requirements_unresolvable"
    assert raised.value.where == str(context.requirements)
    assert "flask" in raised.value.message
    folders = [path for path in Home(place.home).environments.iterdir() if path.is_dir()]
    assert all((folder / ".complete").exists() for folder in folders)


def test_a_build_that_was_killed_is_finished_by_the_next_one(place: Place) -> None:
    context = place.context("v6", SCORE, "tomli==2.0.1\n")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from weir.local.images import LocalImages\nfrom weir.ports import BuildContext\n"
        "from weir.spec.inference import Inference\n"
        "home, model, source, requirements = map(Path, sys.argv[1:])\n"
        "LocalImages(home).build(BuildContext(model, source, requirements,"
        " Inference(entry_script='score.py')))"
    )
    paths = (place.home, context.model_path, context.source_directory, context.requirements)
    environments = Home(place.home).environments
    before = set(environments.glob("*/pyvenv.cfg"))
    builder = subprocess.Popen([sys.executable, "-c", code, *map(str, paths)])
    eventually(lambda: set(environments.glob("*/pyvenv.cfg")) - before)
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    image = place.images.build(context)
    assert image.built
    environment = place.images.folder(image.digest).environment
    assert environment is not None
    assert "tomli==2.0.1" in (environment / "resolved.txt").read_text()
