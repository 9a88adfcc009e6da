from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from weir.errors import UserError
from weir.local.images import LocalImages
from weir.ports import BuildContext
from weir.spec.inference import Inference


def test_an_image_alone_is_sent_to_the_cluster_that_kubectl_reaches_first(tmp_path: Path) -> None:
    context = BuildContext(None, tmp_path, None, Inference(image="registry/fraud:1"))
    with pytest.raises(UserError) as raised:
        LocalImages(tmp_path).digest(context)
    assert raised.value.reason == "image.no_server"
    assert "--platform kubernetes, or weir-kubernetes-cluster/NAME." in raised.value.remedy


def with_conda(folder: Path, text: str, requirements: str | None = None) -> BuildContext:
    (folder / "score.py").write_text("")
    (folder / "conda.yml").write_text(text)
    wanted = None
    if requirements is not None:
        wanted = folder / "requirements.txt"
        wanted.write_text(requirements)
    inference = Inference(command=("python", "score.py"), conda_file="conda.yml")
    return BuildContext(None, folder, wanted, inference, conda_file=folder / "conda.yml")


def test_conda_packages_that_this_machine_cannot_install_are_told(tmp_path: Path) -> None:
    context = with_conda(tmp_path, "dependencies: [python=3.9, libgomp, {pip: [flask]}]")
    with pytest.raises(UserError, match="wants libgomp") as raised:
        LocalImages(tmp_path / "home").digest(context)
    assert raised.value.reason == "image.conda_packages"
    assert "inference.requirements beside it" in raised.value.remedy


def test_requirements_beside_a_conda_file_are_what_this_machine_installs(tmp_path: Path) -> None:
    images = LocalImages(tmp_path / "home")
    source = tmp_path / "source"
    source.mkdir()
    context = with_conda(source, "dependencies: [libgomp]", "flask==3.1.0\n")
    assert images.digest(context)


def wheel(folder: Path) -> str:
    """The name of a package that needs neither an index nor a build."""
    name = "priced-1.5-py3-none-any.whl"
    about = "priced-1.5.dist-info"
    with zipfile.ZipFile(folder / name, "w") as package:
        package.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: priced\nVersion: 1.5\n")
        package.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        package.writestr(f"{about}/RECORD", "")
    return name


def test_the_pip_section_of_a_conda_file_is_what_is_installed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    context = with_conda(source, f"dependencies: [python=3.9, {{pip: [./{wheel(source)}]}}]")
    images = LocalImages(tmp_path / "home")
    environment = images.folder(images.build(context).digest).environment
    assert environment is not None
    assert (environment / "resolved.txt").read_text().startswith("priced @ file://")


def test_settings_of_container_images_make_no_other_image_here(tmp_path: Path) -> None:
    images, source = LocalImages(tmp_path / "home"), tmp_path / "source"
    source.mkdir()
    plain = BuildContext(None, source, None, Inference(command=("serve",)))
    other = Inference(command=("serve",), base_image="python:3", enable_gpu=True)
    assert images.digest(BuildContext(None, source, None, other)) == images.digest(plain)
