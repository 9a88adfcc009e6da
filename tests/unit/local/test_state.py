from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.builders import endpoint
from weir.document import EndpointDocument
from weir.errors import PermanentError, StateConflict, UserError
from weir.local.state import LocalState

SMALL_BYTES = 64


def document() -> EndpointDocument:
    return EndpointDocument(endpoint=endpoint("fraud").control("v1").on_port(1024).build())


def increment(home: Path, times: int) -> None:
    state = LocalState(home)
    for _ in range(times):
        while True:
            stored = state.read("fraud")
            assert stored is not None
            port = stored.endpoint.port or 0
            try:
                state.write(stored.changed(endpoint=stored.endpoint.with_port(port + 1)))
                break
            except StateConflict:
                continue


def write_with_no_room(home: Path) -> str:
    """What a write says in a process that may not write more than a few bytes."""
    stored = LocalState(home).read("fraud")
    assert stored is not None
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_BYTES, SMALL_BYTES))
    try:
        LocalState(home).write(stored)
    except PermanentError as error:
        return error.reason
    return "written"


def test_of_updates_by_several_processes_none_is_lost(tmp_path):
    LocalState(tmp_path).write(document())
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(increment, tmp_path, 15) for _ in range(4)]:
            done.result(timeout=60)
    stored = LocalState(tmp_path).read("fraud")
    assert stored is not None
    assert (stored.endpoint.port, stored.revision) == (1024 + 60, 61)


def test_a_full_disk_leaves_the_old_document_and_no_other_file(tmp_path):
    written = LocalState(tmp_path).write(document())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(write_with_no_room, tmp_path).result(60) == "state.disk_full"
    assert LocalState(tmp_path).read("fraud") == written
    assert {path.name for path in (tmp_path / "endpoints" / "fraud").iterdir()} == {
        "state.json",
        "state.lock",
    }


def test_a_file_system_without_space_leaves_the_old_document(tmp_path):
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        state = LocalState(tmp_path)
        written = state.write(document())
        with (tmp_path / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
        with pytest.raises(PermanentError) as caught:
            state.write(written)
        assert caught.value.reason == "state.disk_full"
        assert state.read("fraud") == written
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"revision": 1}', "\x00" * 100])
def test_a_corrupt_document_names_its_file_and_is_not_overwritten(tmp_path, text):
    state = LocalState(tmp_path)
    written = state.write(document())
    path = tmp_path / "endpoints" / "fraud" / "state.json"
    path.write_text(text)
    for attempt in (lambda: state.read("fraud"), lambda: state.write(written)):
        with pytest.raises(PermanentError) as caught:
            attempt()
        assert caught.value.reason == "state.corrupt"
        assert str(path) in str(caught.value)
    assert path.read_text() == text


def test_the_document_is_readable_by_its_owner_alone(tmp_path):
    LocalState(tmp_path).write(document())
    path = tmp_path / "endpoints" / "fraud" / "state.json"
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["endpoint"]["split"] == {"v1": 100.0}


def test_removing_an_endpoint_leaves_what_belongs_to_the_gateway(tmp_path):
    state = LocalState(tmp_path)
    written = state.write(document())
    gateway = tmp_path / "endpoints" / "fraud" / "gateway"
    gateway.mkdir()
    state.remove(written)
    assert [path.name for path in gateway.parent.iterdir()] == ["gateway"]


def test_a_home_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "endpoints").write_text("a file where a folder should be")
    with pytest.raises(PermanentError) as caught:
        LocalState(tmp_path).write(document())
    assert caught.value.reason == "state.unwritable"


@pytest.mark.parametrize("name", ["../fraud", "..", "", "/etc", "a/b", "Fraud", "fraud\n", "-a"])
def test_a_name_that_is_none_is_refused_and_nothing_outside_is_read(tmp_path, name):
    outside = tmp_path / "fraud"
    outside.mkdir()
    (outside / "state.json").write_text(document().model_dump_json())
    state = LocalState(tmp_path)
    with pytest.raises(UserError) as caught:
        state.read(name)
    assert caught.value.reason == "endpoint.bad_name"
    assert (outside / "state.json").exists()


def test_a_folder_that_is_no_endpoint_is_not_listed(tmp_path):
    LocalState(tmp_path).write(document())
    other = tmp_path / "endpoints" / "fraud copy"
    shutil.copytree(tmp_path / "endpoints" / "fraud", other)
    assert LocalState(tmp_path).endpoints() == ("fraud",)
