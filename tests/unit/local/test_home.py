from __future__ import annotations

import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from weir.errors import PermanentError
from weir.local.home import LONGEST_SOCKET_PATH, Home, default_home

NOBODY = 65_534


def test_folders_are_created_for_their_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for folder in (home.processes, home.gateway("fraud"), home.root):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_naming_an_image_creates_nothing(tmp_path: Path) -> None:
    Home(tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_the_same_home_through_a_link_is_the_same_home(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert Home(tmp_path / "link" / "home").digest == Home(tmp_path / "home").digest


def test_sockets_are_in_the_home_when_its_path_is_short(tmp_path: Path) -> None:
    with_short_path = Home(Path("/tmp") / tmp_path.name)
    if len(str(with_short_path.root)) < 40:
        assert with_short_path.socket("fraud").parent == with_short_path.root / "run"
        (with_short_path.root / "run").rmdir()
        with_short_path.root.rmdir()


def test_no_socket_path_is_too_long_for_the_operating_system(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep" * 20) / "home")
    path = home.socket("e" * 63)
    assert len(str(path)) <= LONGEST_SOCKET_PATH
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert home.socket("e" * 63) == path != home.socket("e" * 62)
    path.parent.rmdir()


def test_a_folder_for_sockets_outside_the_home_is_removed_when_nothing_runs(
    tmp_path: Path,
) -> None:
    far = Home(tmp_path / ("deep" * 20) / "home")
    far.socket("fraud").touch()
    far.forget_sockets()
    assert not Path(far.run / "fraud.sock").exists()
    far.run.rmdir()
    with TemporaryDirectory(prefix="w") as short:
        near = Home(Path(short))
        near.socket("fraud").touch()
        near.forget_sockets()
        assert near.socket("fraud").exists()


def test_a_folder_for_sockets_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep" * 20) / "home")
    folder = home.run
    folder.chmod(0o755)
    with pytest.raises(PermanentError) as raised:
        home.socket("fraud")
    assert raised.value.reason == "home.insecure"
    folder.rmdir()


def test_the_home_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_HOME", "/somewhere")
    assert default_home() == Path("/somewhere")


def refused(root: Path) -> str:
    """Reason of the error when a user who may do nothing there opens the home."""
    os.setuid(NOBODY)
    try:
        Home(root).require_access()
    except PermanentError as error:
        return error.reason
    return "let in"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_home_that_another_user_made_is_refused(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="w", dir="/tmp") as place:
        Path(place).chmod(0o755)
        theirs = Path(place) / "home"
        theirs.mkdir(mode=0o700)
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            assert pool.submit(refused, theirs).result(60) == "home.not_yours"


def test_a_home_of_ones_own_or_a_new_one_is_let_in(tmp_path: Path) -> None:
    Home(tmp_path).require_access()
    Home(tmp_path / "new").require_access()
