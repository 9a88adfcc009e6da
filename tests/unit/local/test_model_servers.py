from __future__ import annotations

from pathlib import Path
from typing import Any

from weir.endpoint import Version
from weir.local.images import ImageFolder
from weir.local.model_servers import replica_spec
from weir.local.processes import ProcessSpec
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference

IMAGE = ImageFolder(Path("/i/source"), Path("/i/model/1"), Path("/e"))


def spec(image: ImageFolder = IMAGE, deployment: Any = None, **inference: Any) -> ProcessSpec:
    inference = inference or {"entry_script": "score.py"}
    version = Version(
        name="v1",
        image="i",
        release="r",
        inference=Inference(**inference),
        deployment=Deployment(**(deployment or {})),
    )
    return replica_spec("fraud", version, 2, image)


def following(argv: tuple[str, ...], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_an_entry_script_runs_in_its_environment_on_loopback() -> None:
    found = spec()
    assert found.name == "fraud.v1.2"
    assert found.argv[:3] == ("/e/bin/python", "-m", "gunicorn")
    assert following(found.argv, "--bind") == "127.0.0.1:{port}"
    assert found.env["AZUREML_ENTRY_SCRIPT"] == "/i/source/score.py"
    assert found.env["AZUREML_MODEL_DIR"] == "/i/model/1"


def test_there_is_one_worker_unless_the_release_asks_for_more() -> None:
    alone = spec(deployment={"replica_max_concurrent_requests": 50})
    assert following(alone.argv, "--workers") == alone.env["WORKER_COUNT"] == "1"
    several = spec(entry_script="score.py", environment_variables={"WORKER_COUNT": "3"})
    assert following(several.argv, "--workers") == several.env["WORKER_COUNT"] == "3"


def test_the_gateway_answers_a_timeout_before_the_server_does() -> None:
    assert spec(deployment={"scoring_timeout_ms": 2000}).env["SCORING_TIMEOUT_MS"] == "2500"


def test_loading_may_take_as_long_as_becoming_ready() -> None:
    found = spec(deployment={"ready_timeout_seconds": 900, "scoring_timeout_ms": 2000})
    assert int(following(found.argv, "--timeout")) > 900


def test_a_busy_entry_script_is_not_taken_for_dead() -> None:
    found = spec(deployment={"scoring_timeout_ms": 20_000})
    assert found.liveness is not None
    assert found.liveness.timeout_seconds > 20


def test_settings_of_the_release_file_cannot_replace_the_models_folder() -> None:
    found = spec(
        entry_script="score.py",
        environment_variables={"AZUREML_MODEL_DIR": "/etc", "OMP_NUM_THREADS": "7"},
    )
    assert found.env["AZUREML_MODEL_DIR"] == "/i/model/1"
    assert found.env["OMP_NUM_THREADS"] == "7"


def test_a_command_gets_its_places() -> None:
    plain = ImageFolder(IMAGE.source, IMAGE.model, None)
    found = spec(plain, command=("serve", "{model_dir}", "{source_dir}/x", "--port={port}"))
    assert found.argv == ("serve", "/i/model/1", "/i/source/x", "--port={port}")
    assert "PATH" not in found.env


def test_a_command_with_requirements_finds_its_programs_first() -> None:
    assert spec(command=("serve",)).env["PATH"].startswith("/e/bin:")


def test_a_program_given_by_relative_path_is_in_the_source() -> None:
    assert spec(command=("./serve.sh",)).argv == ("/i/source/serve.sh",)


def test_a_command_is_probed_exactly_as_the_release_file_says() -> None:
    found = spec(command=("serve",), health_path="/healthz")
    assert found.liveness is not None
    assert found.liveness.target == "/healthz"
    assert (found.liveness.timeout_seconds, found.liveness.period_seconds) == (2, 10)
