from __future__ import annotations

from pathlib import Path

import pytest

from weir.images.requirements import Packed, pack
from weir.spec.requirements import lines_of


def packed(folder: Path, text: str) -> Packed:
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text(text)
    return pack(lines_of(folder / "requirements.txt"), folder / "requirements.txt")


def test_included_files_come_along_under_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("flask==3.1.0\n-r project/requirements.txt\n")
    (tmp_path / "limits.txt").write_text("numpy<2\n")
    found = packed(
        tmp_path / "project", "-r ../base.txt\n-c ../limits.txt\n--requirement ../base.txt"
    )
    assert found.texts == {
        "requirements.txt": "-r included-1.txt\n-c included-2.txt\n--requirement included-1.txt\n",
        "included-1.txt": "flask==3.1.0\n-r requirements.txt\n",
        "included-2.txt": "numpy<2\n",
    }


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("./lib", "./packages/1/lib"),
        ("./lib[fast]; python_version > '3'", "./packages/1/lib[fast]; python_version > '3'"),
        ("lib @ ./lib", "lib @ file:///opt/weir/requirements/packages/1/lib"),
        ("lib @ file://{here}/lib", "lib @ file:///opt/weir/requirements/packages/1/lib"),
        ("--find-links=lib", "--find-links=packages/1/lib"),
        ("-f ./lib", "-f packages/1/lib"),
    ],
)
def test_local_packages_come_along_in_a_form_that_pip_takes(
    tmp_path: Path, line: str, written: str
) -> None:
    (tmp_path / "lib").mkdir()
    found = packed(tmp_path, line.format(here=tmp_path))
    assert found.texts["requirements.txt"] == f"{written}\n"
    assert found.packages == {"packages/1/lib": tmp_path / "lib"}


def test_requirements_that_leave_a_version_open_are_named(tmp_path: Path) -> None:
    exact = "numpy==2.1.0\nflask[async]==3.1.0; python_version > '3'\npip===25.0\n"
    hashed = "rich==14.0.0 --hash=sha256:00\n--index-url https://mirror.example/simple\n"
    found = packed(tmp_path, exact + hashed + "pandas>=2\nscipy\nscikit-learn==1.*\n")
    assert found.loose == ("pandas>=2", "scipy", "scikit-learn==1.*")
