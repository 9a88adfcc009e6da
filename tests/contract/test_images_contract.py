"""What every adapter of ``Images`` has to do. No network: servers that need no environment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.azure.acr import ID, Acr
from tests.azure.conftest import identity_at
from tests.azure.double import Double
from tests.registry import buildah, lacking, make_empty_base, running_registry
from weir.azure.acr_builder import AcrBuilder, TaskSettings
from weir.azure.asking import Asking
from weir.azure.container_registry import ContainerRegistry
from weir.azure.identity import credential
from weir.azure.resource_ids import REGISTRY, parse
from weir.errors import UserError
from weir.images.command_builder import CommandBuilder
from weir.images.named import NamedOrBuilt
from weir.images.settings import ImageSettings, ToolSettings
from weir.local.images import LocalImages
from weir.ports import BuildContext, Images
from weir.spec.inference import Inference


@pytest.fixture(scope="module")
def builder(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ImageSettings, ToolSettings]]:
    """buildah, and a real registry to push to."""
    if lacking():
        pytest.skip(lacking())
    folder = tmp_path_factory.mktemp("builder")
    tool = buildah(folder)
    with running_registry(folder / "registry") as host:
        yield make_empty_base(host, folder, tool), tool


@pytest.fixture
def registry_of_azure(tmp_path: Path) -> Iterator[Images]:
    """ACR Tasks, as the double plays them."""
    with Double(tmp_path) as double:
        double.serve(Acr(double.directory))
        asking = Asking(credential(identity_at(double), double.cloud), double.cloud)
        registry = ContainerRegistry(asking, parse(ID, REGISTRY))
        built = AcrBuilder(
            registry, ImageSettings(), TaskSettings(), tmp_path / "runs", sleep=lambda _: None
        )
        yield NamedOrBuilt(built)


@pytest.fixture(params=["local", "buildah", "acr"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Images:
    if request.param == "local":
        return LocalImages(tmp_path / "home")
    if request.param == "acr":
        found: Images = request.getfixturevalue("registry_of_azure")
        return found
    settings, tool = request.getfixturevalue("builder")
    # The registry is there for all tests; what one pushes is no other's.
    own = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    built = CommandBuilder(
        replace(settings, repository=f"test-{own}"), tool, folder=tmp_path / "scratch"
    )
    return NamedOrBuilt(built)


@pytest.fixture
def context(tmp_path: Path) -> BuildContext:
    return made_in(tmp_path / "one")


def made_in(folder: Path, script: str = "print(1)", **inference: object) -> BuildContext:
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "serve.py").write_text(script)
    (folder / "model.txt").write_text("weights")
    settings = Inference.model_validate({"command": ("python", "serve.py"), **inference})
    return BuildContext(folder / "model.txt", source, None, settings)


def retains_its_own(images: Images) -> None:
    if not images.retains:
        pytest.skip("what a registry keeps is not weir's to remove")


def let_time_pass(tmp_path: Path) -> None:
    """Everything built so far is more than an hour old."""
    for marker in (tmp_path / "home" / "images").glob("*/image.json"):
        os.utime(marker, (0, 0))


def test_building_gives_the_digest_that_was_foretold(images: Images, context: BuildContext) -> None:
    foretold = images.digest(context)
    assert images.build(context).digest == foretold


def test_an_unchanged_image_is_not_built_again(images: Images, context: BuildContext) -> None:
    assert images.build(context).built
    assert not images.build(context).built


def test_the_same_content_elsewhere_is_the_same_image(
    images: Images, context: BuildContext, tmp_path: Path
) -> None:
    assert images.digest(made_in(tmp_path / "two")) == images.digest(context)


def test_other_code_is_another_image(images: Images, context: BuildContext, tmp_path: Path) -> None:
    assert images.digest(made_in(tmp_path / "two", "print(2)")) != images.digest(context)


def test_another_model_is_another_image(images: Images, context: BuildContext) -> None:
    before = images.digest(context)
    assert context.model_path is not None
    context.model_path.write_text("other weights")
    assert images.digest(context) != before


def test_other_settings_of_the_server_are_another_image(
    images: Images, context: BuildContext, tmp_path: Path
) -> None:
    other = made_in(tmp_path / "two", environment_variables={"THRESHOLD": "0.5"})
    assert images.digest(other) != images.digest(context)


def test_caches_version_control_and_virtual_environments_are_no_content(
    images: Images, context: BuildContext
) -> None:
    before = images.digest(context)
    for name in ("__pycache__/serve.pyc", ".git/HEAD", "env/pyvenv.cfg", "left.pyc"):
        path = context.source_directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert images.digest(context) == before


def test_images_that_are_not_retained_are_built_again(
    images: Images, context: BuildContext, tmp_path: Path
) -> None:
    retains_its_own(images)
    other = made_in(tmp_path / "two", "print(2)")
    kept = images.build(context)
    images.build(other)
    let_time_pass(tmp_path)
    images.retain([kept.digest])
    assert not images.build(context).built
    assert images.build(other).built


def test_an_image_that_another_release_just_asked_for_stays(
    images: Images, context: BuildContext, tmp_path: Path
) -> None:
    retains_its_own(images)
    images.build(context)
    let_time_pass(tmp_path)
    images.build(context)
    images.retain([])
    assert not images.build(context).built


def test_a_missing_model_is_named(images: Images, context: BuildContext) -> None:
    assert context.model_path is not None
    context.model_path.unlink()
    with pytest.raises(UserError) as raised:
        images.build(context)
    assert raised.value.reason == "image.model_missing"
    assert raised.value.where == str(context.model_path)


def test_a_missing_entry_script_is_named(images: Images, context: BuildContext) -> None:
    lacking = BuildContext(
        context.model_path, context.source_directory, None, Inference(entry_script="score.py")
    )
    with pytest.raises(UserError, match=r"inference\.entry_script") as raised:
        images.digest(lacking)
    assert raised.value.reason == "image.entry_script_missing"


def test_a_missing_source_directory_is_named(images: Images, context: BuildContext) -> None:
    lacking = BuildContext(None, context.source_directory / "none", None, context.inference)
    with pytest.raises(UserError) as raised:
        images.digest(lacking)
    assert raised.value.reason == "image.source_directory_missing"


def test_what_is_retained_elsewhere_is_left_alone(images: Images, context: BuildContext) -> None:
    if images.retains:
        pytest.skip("these images are weir's to remove")
    images.build(context)
    images.retain([])
    assert not images.build(context).built


def test_what_is_left_of_an_interrupted_removal_is_built_again(
    context: BuildContext, tmp_path: Path
) -> None:
    images = LocalImages(tmp_path / "home")
    digest = images.build(context).digest
    (tmp_path / "home" / "images" / digest / "image.json").unlink()
    assert images.build(context).built
    assert images.folder(digest).source.is_dir()


def test_what_is_removed_leaves_nothing_behind(context: BuildContext, tmp_path: Path) -> None:
    images = LocalImages(tmp_path / "home")
    images.build(context)
    let_time_pass(tmp_path)
    images.retain([])
    assert [path.name for path in (tmp_path / "home" / "images").iterdir()] == [".lock"]
