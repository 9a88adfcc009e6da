from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.spec.files import GOOD, problems, release
from weir.errors import UserError
from weir.spec.conda import CondaFile, read_conda_file
from weir.spec.load import load_release

CONDA = """\
name: mine
channels: [conda-forge]
dependencies:
- python=3.11
- conda-forge::Pip>=24
- pip:
  - numpy==2.1.0
  - ./lib
"""


def conda(folder: Path, text: str) -> CondaFile:
    path = folder / "environment.yml"
    path.write_text(text)
    return read_conda_file(path)


def releasing(folder: Path, conda_file: str = CONDA, addition: str = "") -> Path:
    path = release(
        folder, GOOD.replace("  requirements:", "  conda_file: conda.yml\n  requirements:")
    )
    path.write_text(path.read_text().replace("inference:\n", f"inference:\n{addition}"))
    (folder / "conda.yml").write_text(conda_file)
    return path


def test_python_and_pip_need_no_conda(tmp_path: Path) -> None:
    found = conda(tmp_path, CONDA)
    assert found.needs_conda() == ()
    assert found.pip == ("numpy==2.1.0", "./lib")


def test_every_other_package_needs_conda(tmp_path: Path) -> None:
    text = CONDA.replace("- pip:", "- libgomp\n- python-dateutil=2\n- pip:")
    assert conda(tmp_path, text).needs_conda() == ("libgomp", "python-dateutil=2")


def test_pip_is_added_where_it_is_missing_and_the_name_does_not_count(tmp_path: Path) -> None:
    text = "name: mine\nprefix: /home/ada\ndependencies: [python=3.11]\n"
    assert conda(tmp_path, text).without_pip_section() == "dependencies:\n- python=3.11\n- pip\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "line 1"),
        ("- numpy", "no list of dependencies"),
        ("dependencies: numpy", "no list of dependencies"),
        ("dependencies: [1]", "the dependency 1 is neither"),
        ("dependencies: [{pip: numpy}]", "neither a package nor a pip section"),
        ("dependencies: [{apt: [numpy]}]", "neither a package nor a pip section"),
    ],
)
def test_what_is_no_conda_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        conda(tmp_path, text)
    assert raised.value.reason == "image.conda_file_invalid"


def test_a_release_with_a_conda_file_is_another_one_when_that_changes(tmp_path: Path) -> None:
    first = load_release(releasing(tmp_path)).digest
    renamed = CONDA.replace("name: mine", "name: other")
    assert load_release(releasing(tmp_path, renamed)).digest == first
    assert load_release(releasing(tmp_path, CONDA.replace("2.1.0", "2.2.0"))).digest != first


def test_a_mistake_in_the_conda_file_is_told_with_the_line_that_names_it(tmp_path: Path) -> None:
    (line,) = problems(releasing(tmp_path, "dependencies: []\nx: ["))
    assert line.startswith(
        "release.yaml:10: inference.conda_file: conda.yml: the conda file cannot"
    )


def test_fields_that_came_later_leave_older_releases_as_they_were(tmp_path: Path) -> None:
    plain = load_release(release(tmp_path)).digest
    named = GOOD.replace("inference:\n", "inference:\n  enable_gpu: false\n")
    assert load_release(release(tmp_path, named)).digest == plain
    other = GOOD.replace("inference:\n", "inference:\n  enable_gpu: true\n")
    assert load_release(release(tmp_path, other)).digest != plain


def test_extra_steps_are_read_and_count(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("RUN apt-get install libgomp1\n")
    addition = "  extra_dockerfile_steps: steps\n"
    first = load_release(releasing(tmp_path, addition=addition)).digest
    (tmp_path / "steps").write_text("RUN apt-get install libgomp2\n")
    assert load_release(releasing(tmp_path, addition=addition)).digest != first


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("RUN true\n  from python:3\n", "have a FROM"),
        ("RUN true \\\n", "goes on behind its end"),
    ],
)
def test_extra_steps_that_would_change_the_rest_are_refused(
    tmp_path: Path, steps: str, message: str
) -> None:
    (tmp_path / "steps").write_text(steps)
    (line,) = problems(releasing(tmp_path, addition="  extra_dockerfile_steps: steps\n"))
    assert message in line


@pytest.mark.parametrize(
    "addition",
    ["base_image: python:3", "enable_gpu: true", "extra_dockerfile_steps: requirements.txt"],
)
def test_how_an_image_is_built_cannot_be_said_of_one_that_is_finished(
    tmp_path: Path, addition: str
) -> None:
    text = GOOD.replace("inference:\n", f"inference:\n  image: r/fraud:1\n  {addition}\n")
    (line,) = problems(release(tmp_path, text))
    assert f"image is taken as it is, and {addition.split(':')[0]} is for one that weir" in line
