"""The builder with programs that stand in for buildah and docker, at a registry of few words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.unit.images.contexts import context_in
from tests.unit.images.stub_registry import Stub, stub_registry
from weir.errors import PermanentError, TemporaryError, UserError, WeirError
from weir.images.command_builder import CommandBuilder
from weir.images.running import run
from weir.images.settings import ImageSettings, ToolSettings

RECORDS = """\
#!{python}
import json, os, sys
with open({calls!r}, "a") as calls:
    login = os.environ.get("DOCKER_CONFIG", "")
    seen = sorted(os.listdir(sys.argv[-1])) if os.path.isdir(sys.argv[-1]) else []
    found = login and open(login + "/config.json").read()
    print(json.dumps([sys.argv[1:], seen, found]), file=calls)
{then}
"""


class Place:
    def __init__(self, folder: Path, stub: Stub) -> None:
        self.folder = folder
        self.stub = stub
        self.said: list[str] = []

    def program(self, name: str, then: str = "") -> str:
        path = self.folder / name
        calls = str(self.folder / "calls")
        path.write_text(RECORDS.format(python=sys.executable, calls=calls, then=then))
        path.chmod(0o755)
        return str(path)

    def calls(self) -> list[list[object]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def builder(self, program: str, **tool: Any) -> CommandBuilder:
        settings = ToolSettings(program=program, **tool)
        return CommandBuilder(
            ImageSettings(self.stub.host),
            settings,
            folder=self.folder / "scratch",
        )

    def error(self, builder: CommandBuilder) -> WeirError:
        with pytest.raises(WeirError) as raised:
            builder.build(context_in(self.folder / "release"), self.said.append)
        assert list(self.folder.glob("scratch/*")) == []
        return raised.value


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with stub_registry(Stub(status=404)) as stub:
        yield Place(tmp_path, stub)


def test_buildah_builds_the_whole_context_and_pushes_what_was_foretold(place: Place) -> None:
    builder = place.builder(place.program("buildah"), options=("--storage-driver", "vfs"))
    error = place.error(builder)
    wanted = builder.digest(context_in(place.folder / "release"))
    (build, seen, _), (push, _, _) = place.calls()
    assert isinstance(build, list)
    assert build[:4] == ["--storage-driver", "vfs", "build", "--layers"]
    assert wanted in build
    assert seen == [".dockerignore", "Dockerfile", "model", "source"]
    assert push == [
        *("--storage-driver", "vfs", "push", "--tls-verify=false"),
        *(wanted, f"docker://{wanted}"),
    ]
    # The registry of few words has got nothing, and the builder asks it.
    assert error.reason == "image.push_failed"


def test_tls_is_wanted_of_bases_that_come_from_elsewhere(place: Place) -> None:
    place.error(place.builder(place.program("buildah")))
    assert "--tls-verify=false" not in json.dumps(place.calls()[0])


def test_a_login_is_named_by_its_file_alone(place: Place) -> None:
    login = place.folder / "login.json"
    login.write_text('{"auths": {}}')
    place.error(place.builder(place.program("buildah"), auth_file=str(login)))
    assert all(f"--authfile {login}" in " ".join(map(str, argv)) for argv, _, _ in place.calls())
    (place.folder / "calls").unlink()
    place.error(place.builder(place.program("docker"), auth_file=str(login)))
    assert {found for _, _, found in place.calls()} == {'{"auths": {}}'}


def test_an_image_that_is_there_is_not_built(place: Place) -> None:
    place.stub.status = 200
    image = place.builder("no-such-program").build(context_in(place.folder / "release"))
    assert not image.built


def test_without_any_program_what_to_install_is_told(place: Place) -> None:
    error = place.error(place.builder("no-such-program"))
    assert (type(error), error.reason) == (UserError, "image.no_builder")


def test_a_failed_build_ends_with_its_own_last_lines(place: Place) -> None:
    failing = "print('STEP 2: RUN make'); sys.exit('make: no rule')"
    error = place.error(place.builder(place.program("podman", failing)))
    assert (type(error), error.reason) == (PermanentError, "image.build_failed")
    assert "make: no rule" in error.message
    assert "STEP 2: RUN make" in place.said


def test_a_failed_push_is_no_failed_build(place: Place) -> None:
    failing = "sys.exit('unauthorized: authentication required' if 'push' in sys.argv else 0)"
    error = place.error(place.builder(place.program("podman", failing)))
    assert error.reason == "image.registry_sign_in"


def test_a_build_that_takes_too_long_is_ended_with_all_that_it_started(place: Place) -> None:
    hanging = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print('child', child.pid, flush=True)\n"
        "child.wait()"
    )
    builder = place.builder(place.program("buildah", hanging), build_timeout_seconds=2)
    error = place.error(builder)
    assert (type(error), error.reason) == (TemporaryError, "image.builder_timeout")
    assert "did not end within 2 s" in error.message
    child = int(place.said[-1].split()[1])
    eventually(lambda: not _runs(child))


def test_requirements_that_leave_a_version_open_are_said(place: Place) -> None:
    builder = place.builder(place.program("buildah"))
    context = context_in(place.folder / "release", requirements="numpy>=2\n")
    with pytest.raises(PermanentError):
        builder.build(context, place.said.append)
    assert "not exact, so chosen now and kept in this image: numpy>=2" in place.said


def test_what_a_killed_builder_left_is_removed(place: Place) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = place.folder / "scratch" / f"{gone.pid}-00.tmp"
    left.mkdir(parents=True)
    place.error(place.builder(place.program("buildah")))
    assert not left.exists()


def test_whatever_interrupts_a_command_ends_it(tmp_path: Path) -> None:
    seen: list[str] = []

    def interrupted(line: str) -> None:
        seen.append(line)
        raise KeyboardInterrupt

    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", script], timeout_seconds=60, say=interrupted)
    assert not _runs(int(seen[0]))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return _state(pid) != "Z"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except FileNotFoundError:
        return "Z"
