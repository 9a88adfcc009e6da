from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from weir.errors import PermanentError, TemporaryError, UserError
from weir.local.environments import Environments, Recipe, failure, uv_environment
from weir.local.home import Home


class FakeUv:
    """Makes the folder that ``uv venv`` would make; fails where it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[str] = []
        self.fails = fails

    def __call__(self, argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(next(name for name in ("venv", "install", "freeze") if name in argv))
        if "venv" in argv:
            python = Path(argv[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)
        failed = self.calls[-1] == self.fails
        return subprocess.CompletedProcess(argv, int(failed), "flask==3.1.0\n", "error: told to")


def recipe(folder: Path, text: str) -> Recipe:
    folder.mkdir(exist_ok=True)
    path = folder / "requirements.txt"
    path.write_text(text)
    return Recipe(path, ("server==1",))


def test_comments_and_blank_lines_are_no_other_environment(tmp_path: Path) -> None:
    plain = recipe(tmp_path, "flask==3.1.0\n").digest()
    assert recipe(tmp_path, "# web\n\nflask==3.1.0  # pinned\n").digest() == plain


def test_another_requirement_pin_or_included_line_is_another_environment(tmp_path: Path) -> None:
    first = recipe(tmp_path, "-r base.txt\n")
    (tmp_path / "base.txt").write_text("flask==3.1.0\n")
    before = first.digest()
    assert Recipe(first.requirements, ("server==2",)).digest() != before
    (tmp_path / "base.txt").write_text("flask==3.0.0\n")
    assert first.digest() != before


@pytest.mark.parametrize(
    "line",
    ["./lib", "lib @ ./lib", "lib/", "file:{here}/lib", "lib @ file://{here}/lib", "-f lib"],
)
def test_another_content_of_a_local_package_is_another_environment(
    tmp_path: Path, line: str
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "setup.py").write_text("1")
    wanted = recipe(tmp_path, line.format(here=tmp_path))
    before = wanted.digest()
    (tmp_path / "lib" / "setup.py").write_text("2")
    assert wanted.digest() != before


def test_a_folder_that_is_called_like_a_package_is_no_part_of_it(tmp_path: Path) -> None:
    wanted = recipe(tmp_path, "numpy[extra]>=1; python_version > '3'\n")
    before = wanted.digest()
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "note").write_text("1")
    assert wanted.digest() == before


def test_a_package_that_would_stay_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without -e") as raised:
        recipe(tmp_path, "-e ./lib\n").digest()
    assert raised.value.reason == "image.requirements_editable"


def test_an_environment_whose_python_is_gone_is_built_again(tmp_path: Path) -> None:
    uv, home = FakeUv(), Home(tmp_path / "home")
    wanted = recipe(tmp_path, "flask\n")
    digest = Environments(home, run=uv).ensure(wanted)
    (home.environment(digest) / "bin" / "python").unlink()
    (home.environment(digest) / "bin" / "python").symlink_to(tmp_path / "gone")
    Environments(home, run=uv).ensure(wanted)
    assert uv.calls == ["venv", "install", "freeze"] * 2


def test_an_included_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        recipe(tmp_path, "-r base.txt\n").digest()
    assert raised.value.where == str(tmp_path / "base.txt")


def test_an_environment_is_built_once(tmp_path: Path) -> None:
    uv = FakeUv()
    environments = Environments(Home(tmp_path / "home"), run=uv)
    wanted = recipe(tmp_path, "flask\n")
    assert environments.ensure(wanted) == environments.ensure(wanted)
    assert uv.calls == ["venv", "install", "freeze"]


def test_a_failed_build_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    wanted = recipe(tmp_path, "flask\n")
    with pytest.raises(PermanentError):
        Environments(home, run=FakeUv(fails="install")).ensure(wanted)
    assert not home.environment(wanted.digest()).exists()


def test_half_an_environment_is_built_again(tmp_path: Path) -> None:
    home, wanted = Home(tmp_path / "home"), recipe(tmp_path, "flask\n")
    half = home.environment(wanted.digest())
    (half / "lib").mkdir(parents=True)
    Environments(home, run=FakeUv()).ensure(wanted)
    assert not (half / "lib").exists()


def test_environments_that_are_not_retained_go(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    environments = Environments(home, run=FakeUv())
    kept = environments.ensure(recipe(tmp_path, "flask\n"))
    gone = environments.ensure(recipe(tmp_path, "django\n"))
    for digest in (kept, gone):
        os.utime(home.environment(digest) / ".complete", (0, 0))
    environments.retain({kept})
    assert (environments.exists(kept), environments.exists(gone)) == (True, False)


def test_an_environment_that_was_just_asked_for_again_stays(tmp_path: Path) -> None:
    home, wanted = Home(tmp_path / "home"), recipe(tmp_path, "flask\n")
    environments = Environments(home, run=FakeUv())
    os.utime(home.environment(environments.ensure(wanted)) / ".complete", (0, 0))
    digest = environments.ensure(wanted)
    environments.retain(set())
    assert environments.exists(digest)


def test_half_an_environment_that_nobody_builds_goes(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    half = home.environment("abc")
    half.mkdir(parents=True)
    Environments(home).retain(set())
    assert not half.exists()


@pytest.mark.parametrize(
    ("output", "kind", "reason"),
    [
        (
            "× No solution found when resolving dependencies:",
            PermanentError,
            "image.requirements_unresolvable",
        ),
        (
            "error: Couldn't parse requirement in r.txt",
            PermanentError,
            "image.requirements_unresolvable",
        ),
        ("error sending request for url", TemporaryError, "image.index_unreachable"),
        ("error: No space left on device (os error 28)", PermanentError, "disk.full"),
        ("× Failed to build `old==1`", PermanentError, "image.environment_failed"),
    ],
)
def test_what_uv_says_decides_what_the_caller_does(
    output: str, kind: type[Exception], reason: str
) -> None:
    found = failure(output, Path("r.txt"))
    assert isinstance(found, kind)
    assert (found.reason, found.where) == (reason, "r.txt")
    assert output in found.message


def test_passwords_in_addresses_are_not_repeated() -> None:
    assert "hunter2" not in failure("no https://me:hunter2@index/simple", None).message


def test_index_settings_made_for_pip_hold_for_uv_unless_it_has_its_own() -> None:
    assert uv_environment({"PIP_INDEX_URL": "a"})["UV_DEFAULT_INDEX"] == "a"
    own = uv_environment({"PIP_INDEX_URL": "a", "UV_DEFAULT_INDEX": "b"})
    assert own["UV_DEFAULT_INDEX"] == "b"


def test_the_callers_own_virtual_environment_is_left_behind() -> None:
    assert "VIRTUAL_ENV" not in uv_environment({"VIRTUAL_ENV": "/x"})
