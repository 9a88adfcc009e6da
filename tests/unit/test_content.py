from __future__ import annotations

import os
from pathlib import Path

from weir.content import iter_files, tree_digest


def tree(folder: Path, **contents: str) -> Path:
    for name, text in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return [name for name, _ in iter_files(folder)]


def test_the_same_files_elsewhere_have_the_same_digest(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one", b="2", a="1"), tree(tmp_path / "other", a="1", b="2")
    assert tree_digest(one) == tree_digest(other)


def test_name_content_and_executable_bit_all_count(tmp_path: Path) -> None:
    plain = tree_digest(tree(tmp_path / "plain", a="1"))
    assert tree_digest(tree(tmp_path / "named", b="1")) != plain
    assert tree_digest(tree(tmp_path / "changed", a="2")) != plain
    executable = tree(tmp_path / "executable", a="1")
    (executable / "a").chmod(0o755)
    assert tree_digest(executable) != plain


def test_content_does_not_move_between_files_unseen(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one", a="xy", b="z"), tree(tmp_path / "other", a="x", b="yz")
    assert tree_digest(one) != tree_digest(other)


def test_by_products_are_left_out(tmp_path: Path) -> None:
    clean = tree_digest(tree(tmp_path, a__b="1"))
    tree(tmp_path, a__c="x").joinpath("a/c").rename(tmp_path / "c.pyc")
    for folder in ("__pycache__", ".git", ".venv"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_text("x")
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "pyvenv.cfg").write_text("home = /usr/bin")
    assert names(tmp_path) == ["a/b"]
    assert tree_digest(tmp_path) == clean


def test_a_file_alone_is_a_folder_with_that_file(tmp_path: Path) -> None:
    folder = tree(tmp_path / "folder", a="1")
    assert tree_digest(folder / "a") == tree_digest(folder)


def test_links_count_as_what_they_point_to_and_a_loop_ends(tmp_path: Path) -> None:
    folder = tree(tmp_path / "folder", inner__a="1")
    (folder / "link").symlink_to(folder / "inner" / "a")
    (folder / "inner" / "loop").symlink_to(folder)
    assert names(folder) == ["inner/a", "link"]


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    folder = tree(tmp_path / "folder", a="1")
    os.mkfifo(folder / "pipe")
    (folder / "broken").symlink_to(folder / "gone")
    assert names(folder) == ["a"]


def test_the_order_is_that_of_whole_paths_whatever_the_file_system_says(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("a/x", "a-b", "a.c", "B"):
        tree(folder, **{name.replace("/", "__"): "1"})
    assert names(folder) == sorted(names(folder))
