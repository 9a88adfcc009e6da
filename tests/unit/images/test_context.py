from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.images.contexts import context_in
from weir.errors import TemporaryError, UserError
from weir.images.context import (
    Entry,
    Prepared,
    check_unchanged,
    digest,
    prepare,
    write_archive,
    write_folder,
)
from weir.images.dockerfile import Bases

BASES = Bases()
NAMES = st.text("abz.-_é", min_size=1, max_size=6).filter(lambda name: name.strip("."))
TREES = st.dictionaries(NAMES, st.tuples(st.binary(max_size=40), st.booleans()), max_size=5)


def archive_of(prepared: Prepared) -> bytes:
    target = io.BytesIO()
    write_archive(prepared, target)
    return target.getvalue()


def names_in(prepared: Prepared) -> list[str]:
    return [entry.name for entry in prepared.entries]


@given(TREES)
def test_the_same_content_gives_the_same_bytes_wherever_and_whenever_it_was_written(
    tree: dict[str, tuple[bytes, bool]],
) -> None:
    there = Prepared(tuple(Entry(f"source/{name}", *tree[name]) for name in sorted(tree)))
    assert archive_of(there) == archive_of(there)
    assert write_archive(there, io.BytesIO()) == digest(there)


class Shrinking(Entry):
    """A file that is shorter when it is read than it was when it was looked at."""

    def size(self) -> int:
        return super().size() + 1


def test_a_file_that_shrinks_while_it_is_packed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("w")
    with pytest.raises(TemporaryError) as changed:
        archive_of(Prepared((Shrinking("source/weights", path),)))
    assert (changed.value.reason, changed.value.where) == ("image.source_changed", str(path))


@given(TREES, TREES)
def test_other_content_has_another_digest(
    one: dict[str, tuple[bytes, bool]], other: dict[str, tuple[bytes, bool]]
) -> None:
    first, second = (
        Prepared(tuple(Entry(name, *tree[name]) for name in sorted(tree))) for tree in (one, other)
    )
    assert (digest(first) == digest(second)) == (one == other)


def test_place_time_owner_and_group_rights_of_files_do_not_count(tmp_path: Path) -> None:
    one = context_in(tmp_path / "one", requirements="numpy==2.1.0\n")
    other = context_in(tmp_path / "two", requirements="# numbers\nnumpy==2.1.0\n")
    os.utime(other.source_directory / "score.py", (0, 0))
    (other.source_directory / "score.py").chmod(0o600)
    assert archive_of(prepare(one, BASES)) == archive_of(prepare(other, BASES))


def test_folder_and_archive_hold_the_same(tmp_path: Path) -> None:
    prepared = prepare(context_in(tmp_path, requirements="numpy\n"), BASES)
    assert write_folder(prepared, tmp_path / "out") == digest(prepared)
    with tarfile.open(fileobj=io.BytesIO(archive_of(prepared))) as archive:
        assert {(one.uid, one.gid, one.mtime) for one in archive} == {(0, 0, 315_619_200)}
        packed = {one.name: one.mode for one in archive}
    written = (tmp_path / "out").rglob("*")
    assert packed == {
        str(path.relative_to(tmp_path / "out")): path.stat().st_mode & 0o777 for path in written
    }


def test_a_model_lies_below_its_own_name_as_on_this_machine(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    assert "model/fraud/weights.bin" in names_in(prepare(context, BASES))


def test_what_the_users_dockerignore_names_and_by_products_stay_behind(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    source = context.source_directory
    before = digest(prepare(context, BASES))
    (source / ".dockerignore").write_text("notebooks\n*.csv\n!keep.csv\n")
    for name in (
        "notebooks/a.py",
        "rows.csv",
        ".git/HEAD",
        "__pycache__/score.pyc",
        "env/pyvenv.cfg",
    ):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("x")
    assert digest(prepare(context, BASES)) == before
    (source / "keep.csv").write_text("x")
    assert "source/keep.csv" in names_in(prepare(context, BASES))


def test_an_entry_script_that_is_left_out_is_told(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    (context.source_directory / ".dockerignore").write_text("*.py\n")
    with pytest.raises(UserError, match=r"score\.py") as raised:
        prepare(context, BASES)
    assert raised.value.reason == "image.entry_script_ignored"


def test_another_base_is_another_image(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    other = Bases(python="mirror/python:3")
    assert digest(prepare(context, other)) != digest(prepare(context, BASES))


def test_a_file_that_grows_or_goes_while_it_is_packed_is_told(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    prepared = prepare(context, BASES)
    foretold = digest(prepared)
    weights = tmp_path / "fraud" / "weights.bin"
    weights.write_bytes(b"other weights")
    with pytest.raises(TemporaryError) as raised:
        check_unchanged(write_folder(prepared, tmp_path / "out"), foretold, context)
    assert raised.value.reason == "image.source_changed"
    weights.unlink()
    with pytest.raises(TemporaryError) as raised:
        archive_of(prepared)
    assert (raised.value.reason, raised.value.where) == ("image.source_changed", str(weights))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = Prepared((Entry("source/score.py", tmp_path),))
    with pytest.raises(UserError) as raised:
        digest(folder)
    assert (raised.value.reason, raised.value.where) == ("image.file_unreadable", str(tmp_path))


def test_a_large_model_is_never_read_whole(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    with (tmp_path / "fraud" / "weights.bin").open("wb") as file:
        file.truncate(64 << 20)
    prepared = prepare(context, BASES)
    tracemalloc.start()
    try:
        write_folder(prepared, tmp_path / "out")
        digest(prepared)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 8 << 20


def test_a_conda_file_is_split_into_what_conda_and_what_pip_installs(tmp_path: Path) -> None:
    conda = tmp_path / "environment.yml"
    conda.write_text(
        "name: mine\nchannels: [conda-forge]\n"
        "dependencies:\n- python=3.11\n- libgomp\n- pip:\n  - numpy==2.1.0\n"
    )
    context = replace(
        context_in(tmp_path, requirements="of-a-laptop==1\n"),
        conda_file=conda,
        inference=context_in(tmp_path, conda_file="environment.yml").inference,
    )
    texts = {entry.name: entry.content for entry in prepare(context, BASES).entries}
    assert texts["requirements/requirements.txt"] == b"numpy==2.1.0\n"
    assert texts["conda.yml"] == (
        b"channels:\n- conda-forge\ndependencies:\n- python=3.11\n- libgomp\n- pip\n"
    )
