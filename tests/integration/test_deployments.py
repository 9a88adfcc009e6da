"""prefect.yaml on a real server with a real worker: what starts runs, and what they come to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
import requests

from tests.eventually import eventually
from tests.integration.lab import REPOSITORY, Lab
from weir.document import Outcome
from weir.endpoint import Split
from weir.local.processes import ProcessTable
from weir.local.server import SERVER, start_worker

RUN_SECONDS = 180
"""A run waits for the worker's poll and the start of a process before it begins."""
ASK_SECONDS = 1.0
"""How often the server is asked: a question costs it some 20 ms, which the runs lack."""

pytestmark = pytest.mark.worker


class Api:
    """Prefect's REST API as its UI uses it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def post(self, path: str, **body: Any) -> Any:
        return self.send("POST", path, body)

    def get(self, path: str) -> Any:
        return self.send("GET", path, None)

    def delete(self, path: str) -> None:
        self.send("DELETE", path, None)

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/deployments/name/{name}/{name}")
        return found

    def run(self, deployment: str, **parameters: Any) -> str:
        """A run as the UI's form makes it; returns its id."""
        path = f"/deployments/{self.deployment(deployment)['id']}/create_flow_run"
        return str(self.post(path, parameters=parameters)["id"])

    def run_with(self, deployment: str, **parameters: Any) -> str:
        """The id of the first run of ``deployment`` with these parameters, once it has begun."""
        query = {
            "deployments": {"id": {"any_": [self.deployment(deployment)["id"]]}},
            "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
            "sort": "EXPECTED_START_TIME_ASC",
        }

        def found() -> str | None:
            for run in self.post("/flow_runs/filter", **query):
                if parameters.items() <= run["parameters"].items():
                    return str(run["id"])
            return None

        return eventually(found, RUN_SECONDS, ASK_SECONDS) or ""

    def state(self, run: str) -> dict[str, Any]:
        state: dict[str, Any] = self.get(f"/flow_runs/{run}")["state"]
        return state

    def ended(self, run: str) -> dict[str, Any]:
        """The final state of a run."""

        def final() -> dict[str, Any] | None:
            state = self.state(run)
            return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else {}

        return eventually(final, RUN_SECONDS, ASK_SECONDS) or {}

    def log(self, run: str) -> str:
        """What the run and its parts wrote."""
        parts = [
            task["state"]["state_details"]["child_flow_run_id"]
            for task in self.post("/task_runs/filter", flow_runs={"id": {"any_": [run]}})
            if task["state"]["state_details"]["child_flow_run_id"]
        ]
        lines = self.post("/logs/filter", logs={"flow_run_id": {"any_": [run, *parts]}})
        return "\n".join(line["message"] for line in lines)

    def set_state(self, run: str, kind: str, name: str) -> None:
        self.post(f"/flow_runs/{run}/set_state", state={"type": kind, "name": name}, force=True)

    def send(self, method: str, path: str, body: Any) -> Any:
        """The answer. A server that is busy with its database says 503, and is asked again.

        So is one that says nothing, where asking twice does no more than asking once.
        """
        reads = method == "GET" or path.endswith("/filter")

        def answer() -> requests.Response | None:
            try:
                given = requests.request(method, self._url + path, json=body, timeout=30)
            except requests.Timeout:
                if not reads:
                    raise
                return None
            return given if given.status_code != 503 else None

        given = eventually(answer, RUN_SECONDS, ASK_SECONDS)
        assert given is not None
        assert given.ok, f"{method} {path}: {given.status_code} {given.text}"
        return given.json() if given.content else None


@pytest.fixture(scope="module")
def api(lab: Lab) -> Api:
    """A server where a user has deployed prefect.yaml from the repository, with a worker."""
    prefect = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        prefect,
        cwd=REPOSITORY,
        env=lab.environment(PREFECT_API_URL=lab.server.api),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    start_worker(lab.home, lab.server)
    return Api(lab.server.api)


def test_no_web_page_but_the_servers_own_may_read_it(lab: Lab) -> None:
    own = lab.server.ui
    for origin, allowed in ((own, own), ("http://elsewhere.example", None), ("null", None)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = requests.options(f"{lab.server.api}/flow_runs/filter", headers=asked, timeout=30)
        assert answer.headers.get("access-control-allow-origin") == allowed
        answer = requests.get(f"{lab.server.api}/health", headers={"Origin": origin}, timeout=30)
        assert answer.headers.get("access-control-allow-origin") == allowed


@dataclass(frozen=True)
class Started:
    """One release that somebody or something has started; its end is waited for in ``state``."""

    api: Api
    endpoint: str
    find: Callable[[], str]

    @property
    def run(self) -> str:
        return self.find()

    @property
    def state(self) -> dict[str, Any]:
        return self.api.ended(self.run)


@pytest.fixture(scope="module")
def started(lab: Lab, api: Api) -> Iterator[dict[str, Started]]:
    """Releases by the form, by the schedule and by an event, all at once, under traffic."""
    names = {word: lab.name(word) for word in ("form", "scheduled", "event")}
    for endpoint in names.values():
        lab.in_service(endpoint)
    with ExitStack() as stack:
        for endpoint in names.values():
            stack.enter_context(lab.traffic(endpoint, rate=40, clients=1))
        # The schedule's first run is found first, since finding it ends the schedule.
        found = {
            "scheduled": by_schedule(lab, api, names["scheduled"]),
            "event": by_event(lab, api, names["event"]),
            "form": by_form(lab, api, names["form"]),
        }
        for release in found.values():
            api.ended(release.run)
    yield found
    lab.remove(names.values())


def by_form(lab: Lab, api: Api, endpoint: str) -> Started:
    run = api.run("release", release_file=str(lab.release_file(endpoint, "v2")))
    return Started(api, endpoint, lambda: run)


def by_schedule(lab: Lab, api: Api, endpoint: str) -> Started:
    """Every twenty seconds until the first, the newest version of the endpoint's model."""
    lab.platform.models.register(endpoint, lab.model(kind="nightly"))
    schedule = {
        "active": True,
        "schedule": {"interval": 20, "anchor_date": datetime.now(UTC).isoformat()},
        "parameters": {"model": endpoint, "model_version": "latest"},
    }
    path = f"/deployments/{api.deployment('release')['id']}/schedules"
    (made,) = api.send("POST", path, [schedule])

    @cache
    def find() -> str:
        run = api.run_with("release", model=endpoint)
        api.delete(f"{path}/{made['id']}")
        return run

    return Started(api, endpoint, find)


def by_event(lab: Lab, api: Api, endpoint: str) -> Started:
    done = lab.weir("register", lab.model(kind="registered"), "--name", endpoint)
    assert done.returncode == 0, done.stderr
    return Started(api, endpoint, lambda: api.run_with("release", model=endpoint))


def test_every_parameter_of_the_release_form_is_described(api: Api) -> None:
    form = api.deployment("release")["parameter_openapi_schema"]["properties"]
    assert all("description" in field for field in form.values())
    assert {"release_file", "model", "again", "patience_seconds"} <= form.keys()
    assert form["again"]["type"] == "boolean"


def test_schedules_wait_to_be_switched_on(api: Api) -> None:
    active = [
        schedule["slug"]
        for name in ("release", "reconcile", "resume")
        for schedule in api.deployment(name)["schedules"]
        if schedule["active"] and schedule["slug"]
    ]
    assert active == []


@pytest.mark.parametrize("way", ["scheduled", "form", "event"])
def test_a_run_ends_in_a_promotion(lab: Lab, started: dict[str, Started], way: str) -> None:
    release = started[way]
    state = release.state
    assert (state["type"], state["name"]) == ("COMPLETED", "Promoted"), state
    document = lab.document(release.endpoint)
    assert document.endpoint.control == document.history[-1].version != "v1"
    assert document.endpoint.split == Split.everything_to(document.endpoint.control or "")
    assert lab.platform.traffic.split(release.endpoint) == document.endpoint.split


def test_a_registered_version_is_released_under_its_own_name(
    lab: Lab, started: dict[str, Started]
) -> None:
    release = started["event"]
    parameters = release.api.get(f"/flow_runs/{release.run}")["parameters"]
    assert parameters["model_version"] == "1"
    assert release.state["name"] == "Promoted"
    assert lab.document(release.endpoint).endpoint.control == f"{release.endpoint}-1"


def test_a_run_shows_its_story_and_a_picture_of_each_step(started: dict[str, Started]) -> None:
    release = started["form"]
    assert release.state["name"] == "Promoted"
    story = eventually(lambda: _whole(release.api.log(release.run)), every_seconds=ASK_SECONDS)
    told = ("releasing v2", "provisioned:", "built:", "deployed:", "advance:", "v2 promoted:")
    for words in told:
        assert words in story
    pictures = release.api.post(
        "/artifacts/filter", artifacts={"key": {"any_": [f"{release.endpoint}-rollout"]}}
    )
    headings = {picture["data"].splitlines()[0].split(": ")[1] for picture in pictures}
    assert headings == {"advance", "promote"}


def _whole(log: str) -> str | None:
    return log if "v2 promoted" in log else None


SLOW = {"minimum_requests": 1_000_000}
"""A policy that stays at its first step."""


def test_a_cancelled_run_is_rolled_back(lab: Lab, api: Api) -> None:
    endpoint = lab.name("cancelled")
    lab.in_service(endpoint)
    with lab.traffic(endpoint, rate=50, clients=1):
        run = api.run("release", release_file=str(lab.release_file(endpoint, "v2", **SLOW)))
        eventually(lambda: _at_half(lab, endpoint), RUN_SECONDS)
        api.set_state(run, "CANCELLING", "Cancelling")
        assert api.ended(run)["type"] == "CANCELLED"
        eventually(lambda: lab.document(endpoint).release is None)
    assert lab.document(endpoint).history[-1].outcome is Outcome.ROLLED_BACK
    assert lab.platform.traffic.split(endpoint) == Split.everything_to("v1")


def test_a_killed_release_is_reconciled_once_it_counts_as_crashed(lab: Lab, api: Api) -> None:
    endpoint = lab.name("killed")
    lab.in_service(endpoint)
    with lab.traffic(endpoint, rate=50, clients=2):
        slow = {"minimum_requests": 300}
        with lab.weir_running("release", lab.release_file(endpoint, "v2", **slow)) as process:
            eventually(lambda: _at_half(lab, endpoint), RUN_SECONDS)
            os.kill(process.pid, signal.SIGKILL)
        left = lab.document(endpoint).release
        assert left is not None
        assert left.holder is not None
        api.set_state(left.holder.run, "CRASHED", "Crashed")
        eventually(lambda: lab.document(endpoint).release is None, RUN_SECONDS)
    assert lab.document(endpoint).history[-1].outcome is Outcome.PROMOTED
    assert lab.platform.traffic.split(endpoint) == Split.everything_to("v2")


def test_a_server_that_dies_in_mid_rollout_costs_the_release_nothing(lab: Lab, api: Api) -> None:
    """The supervisor starts it again meanwhile; the rollout does not wait for that."""
    endpoint = lab.name("serverless")
    lab.in_service(endpoint)
    with lab.traffic(endpoint, rate=50, clients=2) as traffic:
        file = lab.release_file(endpoint, "v2", minimum_requests=50)
        with lab.weir_running("release", file) as process:
            eventually(lambda: _at_half(lab, endpoint), RUN_SECONDS)
            server = ProcessTable(lab.home).status(SERVER)
            assert server is not None
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            eventually(lambda: lab.platform.traffic.split(endpoint) == ALL_ON_V2, RUN_SECONDS)
            assert process.wait(RUN_SECONDS) == 0
    assert traffic.counts().failed == 0
    assert lab.document(endpoint).history[-1].outcome is Outcome.PROMOTED


ALL_ON_V2 = Split.everything_to("v2")


def _at_half(lab: Lab, endpoint: str) -> bool:
    return lab.platform.traffic.split(endpoint) == Split.of({"v1": 50, "v2": 50})
