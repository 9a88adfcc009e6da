from __future__ import annotations

import json
from typing import Any

import pytest

from weir.images.dockerfile import Bases, Parts, render
from weir.spec.inference import Inference

BASES = Bases(python="mirror/python:3", gpu="mirror/cuda:12", conda="mirror/mamba:2")
ALL = Parts(has_model=True, has_requirements=True, has_conda=False)
BARE = Parts(has_model=True, has_requirements=False, has_conda=False)


def rendered(parts: Parts = ALL, **inference: Any) -> str:
    if "command" not in inference:
        inference["entry_script"] = "score.py"
    return render(Inference.model_validate(inference), parts, BASES)


def order(text: str, *words: str) -> list[int]:
    return [text.index(word) for word in words]


def test_what_changes_least_comes_first() -> None:
    steps = "RUN apt-get install libgomp1"
    text = rendered(Parts(True, True, False, steps))
    places = order(
        text, "FROM mirror/python:3", steps, "COPY requirements/", "COPY model/", "COPY source/"
    )
    assert places == sorted(places)


def test_the_model_server_is_installed_exactly_and_together_with_the_requirements() -> None:
    assert (
        "pip install --no-cache-dir --disable-pip-version-check"
        " azureml-inference-server-http==1.5.1 --requirement requirements.txt" in rendered()
    )


def test_requirements_with_hashes_go_first_and_bind_the_model_server() -> None:
    text = rendered(Parts(True, True, False, has_hashes=True))
    places = order(
        text,
        "install --no-cache-dir --disable-pip-version-check --requirement requirements.txt",
        "azureml-inference-server-http==1.5.1 --constraint given.txt",
    )
    assert places == sorted(places)


def test_another_server_without_requirements_gets_no_environment() -> None:
    assert "RUN" not in rendered(BARE, command=("/server",))


def test_the_server_does_not_run_as_root() -> None:
    after = rendered().split("COPY source/")[1]
    assert "USER 10001:10001" in after
    assert "USER 0" not in after


def test_steps_that_change_the_user_change_it_for_themselves_alone() -> None:
    text = rendered(Parts(True, True, False, "USER nobody\nRUN id\n"))
    assert "RUN id\nUSER 0\n" in text


@pytest.mark.parametrize(
    ("inference", "base"),
    [
        ({}, "mirror/python:3"),
        ({"enable_gpu": True}, "mirror/cuda:12"),
        ({"base_image": "own/base:1"}, "own/base:1"),
        ({"base_image": "own/base:1", "enable_gpu": True}, "own/base:1"),
    ],
)
def test_the_base_is_the_releases_own_or_the_builders(inference: dict[str, Any], base: str) -> None:
    assert rendered(**inference).startswith(f"FROM {base}\n")


def test_a_conda_environment_is_made_on_any_base_and_pip_installs_the_rest_into_it() -> None:
    text = rendered(Parts(True, True, True), base_image="own/base:1")
    places = order(
        text,
        "FROM own/base:1",
        "COPY --from=mirror/mamba:2 /bin/micromamba",
        "micromamba create --yes --quiet --prefix /opt/weir/env --file /opt/weir/conda.yml",
        "/opt/weir/env/bin/python -m pip install",
    )
    assert places == sorted(places)
    assert "venv" not in text


def test_values_of_variables_arrive_as_they_are_written() -> None:
    text = rendered(environment_variables={"A": 'say "$HOME" \\'})
    assert 'A="say \\"\\$HOME\\" \\\\"' in text


def test_what_a_dockerfile_cannot_hold_is_left_to_the_platform() -> None:
    text = rendered(environment_variables={"TWO": "a\nRUN evil", "not a name": "1"})
    assert "evil" not in text
    assert "not a name" not in text


def test_nothing_is_written_beside_the_code() -> None:
    assert 'PYTHONDONTWRITEBYTECODE="1"' in rendered()
    assert 'HOME="/tmp"' in rendered()


def entry_point(text: str) -> list[str]:
    found = json.loads(text.rsplit("ENTRYPOINT ", 1)[1])
    assert isinstance(found, list)
    return found


def test_a_command_gets_the_places_of_the_image() -> None:
    command = ("python", "{source_dir}/serve.py", "{model_dir}")
    text = rendered(BARE, command=command)
    assert entry_point(text) == ["python", "/opt/weir/source/serve.py", "/opt/weir/model/1"]


def test_a_command_that_names_its_port_gets_that_of_the_environment() -> None:
    text = rendered(BARE, command=("serve", "--port={port}", "it's", ""))
    assert entry_point(text) == ["/bin/sh", "-c", "exec serve --port=\"$PORT\" 'it'\"'\"'s' ''"]
