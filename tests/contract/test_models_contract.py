"""What every adapter of ports.Models does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.models import FakeModels
from weir.errors import UserError
from weir.local.models import LocalModels
from weir.ports import Models


@pytest.fixture(params=["local", "fake"])
def models(request: pytest.FixtureRequest, tmp_path: Path) -> Models:
    stores: dict[str, Callable[[], Models]] = {
        "local": lambda: LocalModels(tmp_path / "home"),
        "fake": FakeModels,
    }
    return stores[request.param]()


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str], Path]:
    """A model file with this content."""

    def write(content: str) -> Path:
        folder = tmp_path / "work" / content
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.pkl").write_text(content)
        return folder / "model.pkl"

    return write


def test_versions_are_numbered_from_one(models, model):
    registered = [models.register("fraud", model(content)) for content in ("a", "b", "c")]
    assert [one.version for one in registered] == ["1", "2", "3"]
    assert list(models.versions("fraud")) == registered


def test_what_was_registered_is_found_again(models, model):
    registered = models.register("fraud", model("a"), tags={"team": "risk"})
    found = models.get("fraud", "1")
    assert found == registered
    assert (found.path.read_text(), dict(found.tags)) == ("a", {"team": "risk"})


def test_the_same_content_again_gives_the_same_version(models, model):
    first = models.register("fraud", model("a"))
    models.register("fraud", model("b"))
    assert models.register("fraud", model("a")) == first


def test_the_same_content_under_another_version_is_another_version(models, model):
    models.register("fraud", model("a"))
    assert models.register("fraud", model("a"), version="2026-11").version == "2026-11"
    assert len(models.versions("fraud")) == 2


def test_a_version_that_has_other_content_is_taken(models, model):
    models.register("fraud", model("a"), version="7")
    with pytest.raises(UserError) as caught:
        models.register("fraud", model("b"), version="7")
    assert caught.value.reason == "model.version_taken"
    assert models.get("fraud", "7").path.read_text() == "a"


def test_latest_is_the_highest_number_and_no_text(models, model):
    for content, version in (("a", "9"), ("b", "10"), ("c", "2"), ("d", "beta")):
        models.register("fraud", model(content), version=version)
    assert models.get("fraud", "latest").version == "10"


def test_latest_is_the_newest_where_none_is_a_number(models, model):
    for content, version in (("a", "beta"), ("b", "alpha")):
        models.register("fraud", model(content), version=version)
    assert models.get("fraud", "latest").version == "alpha"


def test_a_missing_model_is_refused_and_leaves_nothing(models, tmp_path):
    with pytest.raises(UserError) as caught:
        models.register("fraud", tmp_path / "nowhere.pkl")
    assert caught.value.reason == "model.missing"
    assert models.versions("fraud") == ()


@pytest.mark.parametrize("version", ["3", "latest"])
def test_an_unknown_version_names_those_that_there_are(models, model, version):
    if version != "latest":
        models.register("fraud", model("a"))
    with pytest.raises(UserError) as caught:
        models.get("fraud", version)
    assert caught.value.reason == "model.unknown"
    assert ("1" in caught.value.message) is (version != "latest")


def test_models_do_not_share_versions(models, model):
    models.register("fraud", model("a"))
    assert models.register("churn", model("b")).version == "1"


def test_a_release_file_belongs_to_the_content(models, model, tmp_path):
    release = tmp_path / "work" / "a" / "release.yaml"
    model("a")
    text = json.dumps(
        {
            "endpoint": "fraud",
            "version_name": "v1",
            "model": {"name": "fraud", "version": "1"},
            "inference": {"command": ["serve", "{port}"]},
        }
    )
    release.write_text(text)
    registered = models.register("fraud", model("a"), release_file=release)
    assert registered.release_file is not None
    assert registered.release_file.read_text() == text
    assert models.register("fraud", model("a")).version == "2"
