"""The release files of examples/ are good. What train.py makes is replaced by stand-ins here."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import threading
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from weir.spec.guardrails import FailuresGuardrail, LatencyGuardrail
from weir.spec.load import Loaded, load_release
from weir.spec.problems import SpecError

EXAMPLES = Path(__file__).parents[2] / "examples"
RELEASES = ("release-v1.yaml", "release-v2.yaml", "release-v3.yaml")


def fraud(folder: Path, *, built: bool) -> Path:
    """A copy of examples/fraud, with stand-ins for what train.py writes if ``built``."""
    copy = folder / "fraud"
    shutil.copytree(EXAMPLES / "fraud", copy, ignore=shutil.ignore_patterns("build"))
    if built:
        for name in ("model-v1", "model-v2", "model-v3"):
            (copy / "build" / name).mkdir(parents=True)
            (copy / "build" / name / "model").write_text(name)
        (copy / "build" / "samples.ndjson").write_text('{"data": [[1]]}\n')
    return copy


def loaded(folder: Path, release: str) -> Loaded:
    return load_release(fraud(folder, built=True) / release)


@pytest.mark.parametrize("release", RELEASES)
def test_a_fraud_release_is_good_once_its_models_are_trained(tmp_path: Path, release: str) -> None:
    spec = loaded(tmp_path, release).spec
    assert spec.endpoint.name == "fraud"
    assert f"release-{spec.version_name}.yaml" == release
    assert (spec.deployment.num_replicas, spec.deployment.max_request_wait_time) == (2, 5000)


@pytest.mark.parametrize("release", RELEASES)
def test_the_rollout_is_one_that_a_noisy_laptop_can_decide(tmp_path: Path, release: str) -> None:
    rollout = loaded(tmp_path, release).spec.rollout
    failures, latency = rollout.guardrails
    assert isinstance(failures, FailuresGuardrail)
    assert isinstance(latency, LatencyGuardrail)
    assert rollout.steps == (5, 25, 50, 100)
    assert (failures.slack, latency.margin, latency.promote_margin) == (0.01, 2.0, 2.83)


@pytest.mark.parametrize("release", RELEASES)
def test_before_training_only_what_training_makes_is_missing(tmp_path: Path, release: str) -> None:
    with pytest.raises(SpecError) as error:
        load_release(fraud(tmp_path, built=False) / release)
    missing = {problem.field for problem in error.value.problems}
    assert missing == {"model.path", "check.samples"}


def test_the_requirements_are_pinned_exactly() -> None:
    lines = (EXAMPLES / "fraud" / "requirements.txt").read_text().split()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line)] == []


def module(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    loaded_module = importlib.util.module_from_spec(found)
    found.loader.exec_module(loaded_module)
    return loaded_module


def test_the_scorecard_raises_for_a_bin_without_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = {"start": 0.0, "widths": {"size": 2.0}, "points": {"size": {"0": -3.0, "1": 3.0}}}
    (tmp_path / "scorecard.json").write_text(json.dumps(card))
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    score = module(EXAMPLES / "fraud" / "src" / "scorecard" / "score.py")
    score.init()
    answers = score.run('{"data": [[1.0], [2.5]]}')
    assert [answer["label"] for answer in answers] == ["negative", "positive"]
    with pytest.raises(KeyError):
        score.run('{"data": [[4.5]]}')


def test_any_server_is_a_good_release_of_a_command() -> None:
    spec = load_release(EXAMPLES / "any-server" / "release.yaml").spec
    assert spec.inference.command is not None
    assert spec.inference.requirements is None


def test_the_server_of_any_server_is_healthy_scores_its_samples_and_refuses_nonsense(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = EXAMPLES / "any-server"
    inference = load_release(example / "release.yaml").spec.inference
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(example / "model"))
    serve = module(example / "server" / "serve.py")
    vars(serve)["MODEL"] = serve.load()
    with ThreadingHTTPServer(("127.0.0.1", 0), serve.Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        client = HTTPConnection("127.0.0.1", server.server_port, timeout=5)

        def ask(method: str, path: str, body: str = "") -> tuple[int, object]:
            client.request(method, path, body)
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())

        assert ask("GET", inference.health_path)[0] == 200
        for line in (example / "samples.ndjson").read_text().splitlines():
            assert ask("POST", inference.scoring_path, line)[0] == 200
        assert ask("POST", inference.scoring_path, '{"amounts": [1, 5000]}') == (
            200,
            {"flagged": [False, True]},
        )
        assert ask("POST", inference.scoring_path, "nonsense")[0] == 400
        client.close()
        server.shutdown()
        thread.join()
