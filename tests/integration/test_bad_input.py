"""What goes wrong at the user's end: one clear sentence, where, what to do; nothing touched."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests import story
from tests.eventually import eventually
from tests.integration.lab import WEIR, Finished, Lab, free_port, printed_by
from weir.document import Outcome
from weir.endpoint import MAXIMUM_VERSIONS, Split
from weir.local.home import Home
from weir.local.processes import ProcessTable
from weir.spec.load import load_release

Content = dict[str, Any]
FAILING_SCRIPT = """
def init():
    raise RuntimeError("the feature list is missing")


def run(raw_data):
    return {}
"""


def said(finished: Finished, status: int) -> str:
    """What the command printed: a model's traceback maybe, but none of weir's."""
    return printed_by(finished, status, without="weir/cli/main.py")


def untouched(lab: Lab, endpoint: str, revision: int) -> None:
    """The document is as it was, and nothing runs but the control."""
    assert lab.document(endpoint).revision == revision
    names = ProcessTable(Home(lab.home)).names(f"{endpoint}.")
    assert sorted(names) == [f"{endpoint}.gateway", f"{endpoint}.v1.0"]


def control_serves_alone(lab: Lab, endpoint: str) -> None:
    """The endpoint is back where it was: v1 with everything, no other version left."""
    document = lab.document(endpoint)
    assert document.release is None
    assert [version.name for version in document.endpoint.versions] == ["v1"]
    assert lab.platform.traffic.split(endpoint) == Split.everything_to("v1")
    names = ProcessTable(Home(lab.home)).names(f"{endpoint}.")
    assert sorted(names) == [f"{endpoint}.gateway", f"{endpoint}.v1.0"]


MISTAKES: dict[str, tuple[Callable[[Content], None], str]] = {
    "missing model": (
        lambda content: content["model"].update(path="no-such-model"),
        'model.path: "no-such-model" does not exist; looked for',
    ),
    "missing entry script": (
        lambda content: content.update(
            inference={"entry_script": "nope.py", "source_directory": "server"}
        ),
        'inference.entry_script: "nope.py" does not exist; looked for',
    ),
    "percentile over 100": (
        lambda content: content["rollout"].update(steps=[50, 120]),
        "rollout.steps[1]: 120 is not allowed; it has to be at most 100",
    ),
    "steps that end below 100": (
        lambda content: content["rollout"].update(steps=[10, 50]),
        "the last step has to be 100",
    ),
    "unknown field": (
        lambda content: content["rollout"].update(window_second=1),
        "rollout.window_second",
    ),
    "number as text": (
        lambda content: content["deployment"].update(num_replicas="two"),
        "deployment.num_replicas",
    ),
}


def test_mistakes_in_a_release_file_are_told_with_file_and_field_and_touch_nothing(
    lab: Lab,
) -> None:
    endpoint = lab.in_service(lab.name("shop"))
    revision = lab.document(endpoint).revision
    files = {"broken.yaml": "endpoint: [", "folder.yaml": None, "latin.yaml": "endpoint: \xe9"}
    wanted = {
        "broken.yaml": "not valid YAML",
        "folder.yaml": "is a folder",
        "latin.yaml": "is not UTF-8 text",
        "gone.yaml": "does not exist; looked for",
    }
    for number, (change, sentence) in enumerate(MISTAKES.values()):
        content = lab.release(endpoint, "v2")
        change(content)
        files[f"mistake-{number}.yaml"] = json.dumps(content)
        wanted[f"mistake-{number}.yaml"] = sentence
    for name, text in files.items():
        path = lab.work / name
        path.mkdir() if text is None else path.write_text(text, encoding="latin-1")
    with ThreadPoolExecutor(2) as pool:
        finished = dict(
            zip(wanted, pool.map(lambda n: lab.weir("release", n), wanted), strict=True)
        )
    for name, sentence in wanted.items():
        printed = said(finished[name], 2)
        assert printed.startswith(f"weir: {name}:"), printed
        assert sentence in printed
        assert len(printed.splitlines()) == 1, printed
    untouched(lab, endpoint, revision)


def test_a_release_file_is_found_from_wherever_one_stands(lab: Lab, tmp_path: Path) -> None:
    endpoint = lab.name("shop")
    file = lab.release_file(endpoint, "v1")
    for given in (str(file), os.path.relpath(file, tmp_path)):
        planned = subprocess.run(
            [WEIR, "plan", given],
            cwd=tmp_path,
            env=lab.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert f"+ endpoint {endpoint}" in said(planned, 0)


def test_an_entry_script_whose_init_raises_is_removed_and_its_last_lines_shown(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.in_service(lab.name("shop"))
    source = lab.work / f"{endpoint}-source"
    source.mkdir()
    (source / "score.py").write_text(FAILING_SCRIPT)
    content = lab.release(endpoint, "v2")
    content["inference"] = {"entry_script": "score.py", "source_directory": str(source)}
    file = lab.work / f"{endpoint}-v2.yaml"
    file.write_text(json.dumps(content))
    with lab.traffic(endpoint, rate=50) as traffic:
        printed = said(lab.weir("release", file, timeout_seconds=300), 1)
    assert "RuntimeError: the feature list is missing" in printed
    assert "✘ v2 failed" in printed
    control_serves_alone(lab, endpoint)
    assert traffic.counts().causes == {}
    assert "feature list is missing" in said(lab.weir("logs", endpoint, "v2", "--lines", "1000"), 0)
    assert "version v9 has written no log" in said(lab.weir("logs", endpoint, "v9"), 2)


def test_requirements_that_do_not_resolve_are_told_in_uvs_words(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.in_service(lab.name("shop"))
    source = lab.work / f"{endpoint}-source"
    source.mkdir()
    (source / "score.py").write_text(FAILING_SCRIPT)
    (source / "requirements.txt").write_text("azureml-inference-server-http==1.4.0\n")
    content = lab.release(endpoint, "v2")
    content["inference"] = {
        "entry_script": "score.py",
        "source_directory": str(source),
        "requirements": str(source / "requirements.txt"),
    }
    file = lab.work / f"{endpoint}-v2.yaml"
    file.write_text(json.dumps(content))
    printed = said(lab.weir("release", file, timeout_seconds=300), 1)
    assert "the requirements do not resolve" in printed
    assert "azureml-inference-server-http==1.4.0" in printed
    control_serves_alone(lab, endpoint)


def test_a_port_that_is_taken_is_named_and_another_one_then_works(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.name("shop")
    content = lab.release(endpoint, "v1")
    file = lab.work / f"{endpoint}-v1.yaml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file.write_text(json.dumps({**content, "endpoint": {"name": endpoint, "port": port}}))
        printed = said(lab.weir("release", file), 1)
    assert f"port {port} cannot be used" in printed
    assert f"process {os.getpid()}" in printed
    other = free_port()
    file.write_text(json.dumps({**content, "endpoint": {"name": endpoint, "port": other}}))
    assert story.release(lab.platform, load_release(file)).outcome is Outcome.PROMOTED
    assert lab.document(endpoint).endpoint.port == other


def test_a_disk_that_is_full_leaves_the_old_document(lab: Lab) -> None:
    endpoint = lab.in_service(lab.name("shop"))
    revision = lab.document(endpoint).revision
    file = lab.release_file(endpoint, "v2")
    # A limit of one block on every file that is written, which the document exceeds.
    finished = subprocess.run(
        ["bash", "-c", f"ulimit -f 1; exec '{WEIR}' release '{file}'"],
        env=lab.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    printed = said(finished, 1)
    assert (
        "there is no space left to write this file; what was there before is unchanged" in printed
    )
    assert "Free space below" in printed
    untouched(lab, endpoint, revision)


def test_a_seventh_version_is_refused_with_the_six_that_there_are(lab: Lab) -> None:
    endpoint = lab.in_service(lab.name("shop"))
    for number in range(2, MAXIMUM_VERSIONS + 1):
        wanted = load_release(lab.release_file(endpoint, f"v{number}"))
        past = story.release(lab.platform, wanted, deploy_only=True)
        assert past.outcome is Outcome.DEPLOYED
    revision = lab.document(endpoint).revision
    printed = said(lab.weir("release", lab.release_file(endpoint, "v7")), 2)
    assert "v1, v2, v3, v4, v5, v6" in printed
    assert lab.document(endpoint).revision == revision


def test_traffic_that_stops_in_the_middle_holds_until_the_deadlines_answer(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.in_service(lab.name("shop"))
    file = lab.release_file(
        endpoint,
        "v2",
        steps=[50, 60, 100],
        minimum_requests=100,
        maximum_wait_seconds=10,
        deadline_seconds=15,
        on_inconclusive="rollback",
    )
    with lab.weir_running("release", file) as run:
        with lab.traffic(endpoint):

            def at_second_step() -> bool:
                split = lab.platform.traffic.split(endpoint)
                assert run.poll() is None, run.stdout.read() if run.stdout else ""
                return split is not None and split.percentile("v2") == 60

            eventually(at_second_step, 60)
        printed = run.communicate(timeout=60)[0]
    assert run.returncode == 1, printed
    assert "weir/cli/main.py" not in printed
    assert "v2 rolled back: " in printed
    control_serves_alone(lab, endpoint)


def test_a_killed_envoy_comes_back_with_its_split_and_the_release_goes_on(lab: Lab) -> None:
    assert lab.server
    endpoint = lab.in_service(lab.name("shop"))
    half = Split.of({"v1": 50, "v2": 50})
    table = ProcessTable(Home(lab.home))
    with lab.weir_running("release", lab.release_file(endpoint, "v2")) as run:
        eventually(lambda: lab.platform.traffic.split(endpoint) == half, 60)
        killed = table.status(f"{endpoint}.gateway")
        assert killed is not None
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)

        def is_back() -> bool:
            status = table.status(f"{endpoint}.gateway")
            return status is not None and status.state == "ready" and status.pid != killed.pid

        eventually(is_back, 30)
        assert lab.platform.traffic.split(endpoint) == half
        with lab.traffic(endpoint):
            printed = run.communicate(timeout=60)[0]
    assert run.returncode == 0, printed
    assert "✔ v2 promoted" in printed


def test_a_home_that_cannot_be_written_is_said(lab: Lab, tmp_path: Path) -> None:
    file = lab.release_file(lab.name("shop"), "v1")
    occupied = tmp_path / "home"
    occupied.write_text("a file")
    for home in ("/proc/weir", str(occupied)):
        for command in (["release", str(file)], ["up"]):
            finished = subprocess.run(
                [WEIR, *command],
                env=lab.environment(WEIR_HOME=home),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            printed = said(finished, 1)
            assert printed.startswith(f"weir: {home}"), printed
            assert "WEIR_HOME" in printed


def test_a_home_with_spaces_and_a_path_too_long_for_sockets_works(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "a folder with spaces" / ("long" * 30), with_server=False)
    try:
        endpoint = lab.in_service(lab.name("shop"))
        with lab.traffic(endpoint) as traffic:
            past = story.release(lab.platform, load_release(lab.release_file(endpoint, "v2")))
        assert past.outcome is Outcome.PROMOTED
        assert traffic.counts().causes == {}
        assert "100 %" in said(lab.weir("status", endpoint), 0)
    finally:
        lab.close()
