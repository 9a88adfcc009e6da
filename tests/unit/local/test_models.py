from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from weir.errors import UserError
from weir.local.model_files import MAXIMUM_RELEASE_BYTES
from weir.local.models import LocalModels

RELEASE = """
endpoint: fraud
version_name: v1
model: {name: fraud, version: 1, path: model}
inference: {entry_script: score.py, source_directory: src, requirements: requirements.txt}
check: {samples: data/samples.ndjson}
"""


@pytest.fixture
def work(tmp_path):
    """A data scientist's folder: release file, source, model, and much that is not shipped."""
    folder = tmp_path / "work"
    for path, content in {
        "release.yaml": RELEASE,
        "requirements.txt": "numpy",
        "src/score.py": "def init(): ...",
        "data/samples.ndjson": "{}",
        "model/weights.bin": "weights",
        "model/config.json": "{}",
        ".venv/pyvenv.cfg": "home = /usr",
        ".venv/bin/python": "",
        "src/__pycache__/score.pyc": "",
        ".git/HEAD": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


@pytest.fixture
def models(tmp_path):
    return LocalModels(tmp_path / "home")


def test_a_release_can_be_made_after_the_folder_has_gone(models, work):
    registered = models.register("fraud", work / "model", release_file=work / "release.yaml")
    shutil.rmtree(work)
    assert (registered.path / "weights.bin").read_text() == "weights"
    folder = registered.release_file.parent
    shipped = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert shipped == ["data/samples.ndjson", "release.yaml", "requirements.txt", "src/score.py"]


def test_a_model_file_is_left_out_of_the_release_folder_and_kept_apart(models, work):
    registered = models.register(
        "fraud", work / "model" / "weights.bin", release_file=work / "release.yaml"
    )
    assert registered.path.name == "weights.bin"
    assert not (registered.release_file.parent / "model" / "weights.bin").exists()
    assert (registered.release_file.parent / "model" / "config.json").exists()


def test_a_changed_source_file_is_another_version(models, work):
    first = models.register("fraud", work / "model", release_file=work / "release.yaml")
    os.utime(work / "src" / "score.py")
    assert models.register("fraud", work / "model", release_file=work / "release.yaml") == first
    (work / "src" / "score.py").write_text("def init(): pass")
    changed = models.register("fraud", work / "model", release_file=work / "release.yaml")
    assert changed.version == "2"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name: fraud", "name: churn", "release.other_model"),
        ("endpoint: fraud", "endpoint: [", "spec.invalid"),
        ("source_directory: src", "source_directory: ../other", "model.release_not_whole"),
    ],
)
def test_a_release_file_that_could_not_be_released_is_not_registered(
    models, work, old, new, reason
):
    shutil.copytree(work / "src", work.parent / "other")
    (work / "release.yaml").write_text(RELEASE.replace(old, new))
    with pytest.raises(UserError) as caught:
        models.register("fraud", work / "model", release_file=work / "release.yaml")
    assert caught.value.reason == reason
    assert models.versions("fraud") == ()


def test_a_release_folder_that_is_too_big_is_refused_with_its_largest_file(models, work):
    with (work / "data" / "dump.parquet").open("wb") as stream:
        stream.truncate(MAXIMUM_RELEASE_BYTES + 1)
    with pytest.raises(UserError) as caught:
        models.register("fraud", work / "model", release_file=work / "release.yaml")
    assert caught.value.reason == "model.release_too_big"
    assert "data/dump.parquet" in caught.value.message
    assert models.versions("fraud") == ()


@pytest.mark.parametrize("name", ["", "Fraud", "../fraud", "a/b", "-x", "x" * 64])
def test_a_name_that_could_lead_elsewhere_is_refused(models, work, name):
    with pytest.raises(UserError) as caught:
        models.register(name, work / "model")
    assert caught.value.reason == "model.name"
    assert models.versions(name) == ()


@pytest.mark.parametrize("version", ["", "..", "latest", "a/b", ".1"])
def test_a_version_that_could_lead_elsewhere_is_refused(models, work, version):
    with pytest.raises(UserError) as caught:
        models.register("fraud", work / "model", version=version)
    assert caught.value.reason == "model.version"


def test_an_empty_folder_is_no_model(models, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as caught:
        models.register("fraud", tmp_path / "empty")
    assert caught.value.reason == "model.missing"


def test_what_a_killed_registration_left_is_no_version_and_is_cleared(models, work, tmp_path):
    left = tmp_path / "home" / "models" / "fraud" / ".new-dead"
    left.mkdir(parents=True)
    assert models.versions("fraud") == ()
    assert models.register("fraud", work / "model").version == "1"
    assert not left.exists()


def test_registrations_at_the_same_time_get_different_numbers(models, tmp_path):
    paths = []
    for number in range(8):
        paths.append(tmp_path / f"model-{number}.bin")
        paths[-1].write_text(str(number))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda path: models.register("fraud", path), paths))
    assert sorted(int(one.version) for one in found) == list(range(1, 9))


def test_a_model_behind_a_symbolic_link_is_copied_whole(models, work, tmp_path):
    (tmp_path / "current").symlink_to(work / "model")
    registered = models.register("fraud", tmp_path / "current")
    shutil.rmtree(work)
    assert (registered.path / "weights.bin").read_text() == "weights"
