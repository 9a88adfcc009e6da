"""The command `weir` as people use it: what it prints, what it changes, how it ends."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from blocks import KubernetesCluster
from tests.eventually import eventually
from tests.gateway import call
from tests.integration.lab import REPOSITORY, WEIR, Lab, printed_by
from weir.document import EndpointDocument
from weir.endpoint import Split
from weir.local.home import Home
from weir.local.processes import ProcessTable
from weir.local.supervisor import ensure_supervisor
from weir.local.traffic_counts import VersionTraffic
from weir.release import operator

WRITTEN_BY_OTHERS = {"logs", "prefect", "run"}
"""Folders of a home that the supervisor and the servers write to all the time."""
NOTHING = VersionTraffic(0)


def touched(home: Path) -> str:
    """A digest of everything in ``home`` that a command may change."""
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        if parts[0] in WRITTEN_BY_OTHERS or path.name.endswith(".status.json"):
            continue
        digest.update(str(path).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def in_mid_rollout(lab: Lab, file: Path, endpoint: str) -> Iterator[subprocess.Popen[str]]:
    """A release of v2 that waits at its first step, because nobody sends requests."""
    with lab.weir_running("release", file) as run:

        def at_half() -> bool:
            assert run.poll() is None, run.stdout.read() if run.stdout else ""
            split = lab.platform.traffic.split(endpoint)
            applied = lab.document(endpoint).split_applied_at is not None
            return applied and split == Split.of({"v1": 50, "v2": 50})

        eventually(at_half, 60)
        yield run


def test_a_first_release_is_planned_made_and_looked_at(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.name("shop")
    file = lab.release_file(endpoint, "v1")

    before = touched(lab.home)
    assert f"+ endpoint {endpoint}: created" in printed_by(lab.weir("plan", file), 0)
    assert touched(lab.home) == before

    assert "✔ v1 promoted" in printed_by(lab.weir("release", file), 0)
    assert "nothing to do" in printed_by(lab.weir("plan", file), 0)

    (found,) = json.loads(printed_by(lab.weir("status", endpoint, "--json"), 0))
    assert (found["endpoint"], found["split"]) == (endpoint, {"v1": 100})
    assert found["versions"][0]["health"] == "healthy"
    table = printed_by(lab.weir("status", endpoint), 0)
    assert "100 %" in table
    assert found["scoring_uri"] in table

    assert f"{endpoint}.v1.0" in printed_by(lab.weir("logs", endpoint), 0)
    key = lab.platform.traffic.keys(endpoint).primary
    assert key in printed_by(lab.weir("keys", endpoint), 0)
    rotated = printed_by(lab.weir("keys", endpoint, "--regenerate", "primary"), 0)
    assert key not in rotated


def test_planning_another_version_of_a_running_endpoint_touches_nothing(lab: Lab) -> None:
    endpoint = lab.in_service(lab.name("shop"))
    file = lab.release_file(endpoint, "v2")
    before = touched(lab.home)
    printed = printed_by(lab.weir("plan", file), 0)
    assert "+ version v2" in printed
    assert "from v1 to v2: 50 % -> 100 %" in printed
    assert touched(lab.home) == before


def test_ctrl_c_leaves_everything_on_the_control_and_the_next_run_goes_on(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.in_service(lab.name("shop"))
    file = lab.release_file(endpoint, "v2")
    with in_mid_rollout(lab, file, endpoint) as run:
        refused = printed_by(lab.weir("release", lab.release_file(endpoint, "v3")), 1)
        assert f"process {run.pid}" in refused
        assert f"weir status {endpoint}" in refused
        run.send_signal(signal.SIGINT)
        printed = run.communicate(timeout=60)[0]
    assert run.returncode == 130, printed
    assert "Traceback" not in printed
    assert f"{endpoint} is left at v1 100 %; go on with weir resume {endpoint}" in printed
    assert lab.platform.traffic.split(endpoint) == Split.everything_to("v1")
    assert f"weir resume {endpoint} goes on" in printed_by(lab.weir("status", endpoint), 0)
    with lab.traffic(endpoint) as traffic:
        printed = printed_by(lab.weir("release", file), 0)
    assert "going on with v2" in printed
    assert "✔ v2 promoted" in printed
    assert traffic.counts().causes == {}


def test_a_person_pauses_resumes_promotes_and_goes_back(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.in_service(lab.name("shop"))
    with in_mid_rollout(lab, lab.release_file(endpoint, "v2"), endpoint) as run:
        printed = printed_by(lab.weir("pause", endpoint), 0)
        assert f"paused at v1 50 %, v2 50 %; go on with weir resume {endpoint}" in printed
        assert "paused by" in printed_by(lab.weir("status", endpoint), 0)
        printed_by(lab.weir("resume", endpoint), 0)
        printed_by(lab.weir("promote", endpoint), 0)
        printed = run.communicate(timeout=60)[0]
    assert run.returncode == 0, printed
    assert "✔ v2 promoted: on the word of" in printed
    assert control_with_everything(lab, endpoint) == "v2"

    assert "v2 rolled back: v1 is the control again" in printed_by(
        lab.weir("rollback", endpoint), 0
    )
    assert control_with_everything(lab, endpoint) == "v1"

    printed_by(lab.weir("delete", endpoint, "--version", "v2", "--yes"), 0)
    assert "there is no version v2" in printed_by(
        lab.weir("delete", endpoint, "--version", "v2", "--yes"), 2
    )
    printed_by(lab.weir("delete", endpoint, "--yes"), 0)
    assert lab.platform.state.read(endpoint) is None
    assert ProcessTable(Home(lab.home)).names(f"{endpoint}.") == ()


def test_a_rollback_answers_every_request_that_it_finds_under_way(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.in_service(lab.name("shop"))
    file = lab.release_file(endpoint, "v2", lab.model(sleep_ms=3000))
    with in_mid_rollout(lab, file, endpoint):
        port = lab.document(endpoint).endpoint.port
        key = lab.platform.traffic.keys(endpoint).primary
        with ThreadPoolExecutor(6) as pool:
            under_way = [
                pool.submit(call, port or 0, key, {"x-weir-version": "v2"}, n=number)
                for number in range(6)
            ]
            eventually(lambda: lab.platform.traffic.in_flight(endpoint).get("v2") == 6)
            operator.roll_back_now(lab.platform, endpoint, by="ada")
            assert [reply.result().status for reply in under_way] == [200] * 6
    assert lab.platform.workloads.versions(endpoint) == ("v1",)


def control_with_everything(lab: Lab, endpoint: str) -> str | None:
    document: EndpointDocument = lab.document(endpoint)
    control = document.endpoint.control
    assert control is not None
    assert lab.platform.traffic.split(endpoint) == Split.everything_to(control)
    return control


@pytest.mark.parametrize("command", ["promote", "resume"])
def test_without_a_release_there_is_nothing_to_decide(lab: Lab, command: str) -> None:
    endpoint = lab.in_service(lab.name("shop"))
    printed = printed_by(lab.weir(command, endpoint), 1)
    assert "no rollout is under way" in printed


@pytest.mark.parametrize("command", ["status", "rollback", "keys"])
def test_an_unknown_endpoint_is_said_with_those_that_there_are(lab: Lab, command: str) -> None:
    known = lab.in_service("known") if lab.platform.state.read("known") is None else "known"
    printed = printed_by(lab.weir(command, "nowhere"), 2)
    assert "endpoint nowhere: there is no such endpoint" in printed
    assert known in printed


def test_the_same_model_is_registered_once(lab: Lab) -> None:
    model, name = lab.model(fails=0.25), lab.name("model")
    first = printed_by(lab.weir("register", model, "--name", name), 0)
    assert f"registered {name} 1" in first
    assert f"registered {name} 1" in printed_by(lab.weir("register", model, "--name", name), 0)


def test_watching_ends_with_130_on_ctrl_c_and_shows_changes_to_a_file(lab: Lab) -> None:
    endpoint = lab.in_service(lab.name("shop"))
    with lab.weir_running("status", endpoint, "--watch") as watching:
        assert watching.stdout is not None
        assert endpoint in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        printed = watching.communicate(timeout=30)[0]
    assert watching.returncode == 130
    assert "Traceback" not in printed


def test_a_reader_that_leaves_and_a_plain_locale_do_no_harm(lab: Lab) -> None:
    lab.in_service(lab.name("shop"))
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{WEIR}' status --json --watch | head -1"],
        env=lab.environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert piped.stdout == "[\n"
    assert piped.stderr == ""


def test_down_can_be_said_twice_and_what_ran_comes_back_with_its_split(tmp_path: Path) -> None:
    lab = Lab(tmp_path, with_server=False)
    try:
        endpoint = lab.in_service(lab.name("shop"))
        uri = lab.platform.traffic.scoring_uri(endpoint)
        assert f"{endpoint}.v1.0" in printed_by(lab.weir("down"), 0)
        assert "nothing was running" in printed_by(lab.weir("down"), 0)
        down = printed_by(lab.weir("status"), 0)
        assert "stopped" in down
        assert "weir up starts it again" in down
        assert "gateway: it does not run; weir up starts it" in down

        ensure_supervisor(lab.home)

        assert lab.platform.traffic.scoring_uri(endpoint) == uri
        with lab.traffic(endpoint) as traffic:
            eventually(lambda: traffic.counts().versions.get("v1", NOTHING).requests > 20, 30)
        assert control_with_everything(lab, endpoint) == "v1"
    finally:
        lab.close()


def test_the_pages_of_the_server_ask_the_server_that_they_are_of(lab: Lab) -> None:
    settings = requests.get(f"{lab.server.ui}/ui-settings", timeout=10).json()
    assert lab.server.port != 4200
    assert settings["api_url"] == lab.server.api


def test_a_command_that_loads_a_saved_block_prints_its_answer_and_nothing_else(lab: Lab) -> None:
    settings = {PREFECT_API_URL: lab.server.api, PREFECT_HOME: lab.work / "prefect"}
    with temporary_settings(settings):
        KubernetesCluster(namespace="loaded").save("loaded", overwrite=True)
    file = REPOSITORY / "examples" / "kubernetes" / "release-v1.yaml"
    printed = lab.weir("render", file, "--platform", "weir-kubernetes-cluster/loaded")
    assert printed.returncode == 0
    assert "namespace: loaded" in printed.stdout
    assert printed.stderr == ""
