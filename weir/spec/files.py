"""The files a release refers to: where they lie, whether they are there, what they hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weir.content import file_digest, iter_files, tree_digest
from weir.errors import UserError
from weir.spec.explain import shown
from weir.spec.release import ReleaseSpec
from weir.spec.requirements import words_of

Step = tuple[str | int, ...]


@dataclass(frozen=True)
class ReleaseFiles:
    """Absolute paths; None for what the release does not name."""

    model: Path | None
    source_directory: Path
    requirements: Path | None
    samples: Path | None


def files_of(spec: ReleaseSpec, directory: Path) -> ReleaseFiles:
    """Where the files of ``spec`` lie, its relative paths starting from ``directory``."""

    def at(path: str | None) -> Path | None:
        return None if path is None else (directory / path).resolve()

    return ReleaseFiles(
        model=at(spec.model.path),
        source_directory=(directory / spec.inference.source_directory).resolve(),
        requirements=at(spec.inference.requirements),
        samples=at(spec.check.samples),
    )


def digest_of(spec: ReleaseSpec, directory: Path) -> str:
    """SHA-256 over the normalised spec and the content of every file that it refers to.

    Where files lie and what they are called in the spec does not count, only what they hold, and
    of the requirements what ``requirements.words_of`` says. Raises OSError, and UserError for
    those.
    """
    settings = spec.model_dump(mode="json")
    for part, field in (
        ("model", "path"),
        ("inference", "source_directory"),
        ("inference", "requirements"),
        ("check", "samples"),
    ):
        settings[part].pop(field)
    if spec.inference.image is None:
        # As it was before images could be named: a release stays the same release.
        settings["inference"].pop("image")
    files = files_of(spec, directory)
    contents = {
        name: None if path is None else tree_digest(path)
        for name, path in (
            ("model", files.model),
            (
                "source_directory",
                None if spec.inference.is_image_alone() else files.source_directory,
            ),
        )
    } | {
        "samples": None if files.samples is None else file_digest(files.samples),
        "requirements": None
        if files.requirements is None
        else hashlib.sha256("\n".join(words_of(files.requirements)).encode()).hexdigest(),
    }
    whole = json.dumps({"settings": settings, "contents": contents}, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def missing_files(data: Mapping[str, Any], directory: Path) -> Iterator[tuple[Step, str]]:
    """(place in the file, what is wrong) for every file named in ``data`` that cannot be used.

    ``data`` is the release file as read, which may be wrong in other places.
    """
    looking = _Looking(data, directory)
    yield from looking.model()
    yield from looking.inference()
    yield from looking.samples()


class _Looking:
    def __init__(self, data: Mapping[str, Any], directory: Path) -> None:
        self.data = data
        self.directory = directory

    def named(self, part: str, field: str) -> str | None:
        section = self.data.get(part)
        value = section.get(field) if isinstance(section, Mapping) else None
        return value if isinstance(value, str) else None

    def look(self, name: str, base: Path, wanted: str) -> tuple[Path, str]:
        """The resolved path, and what is wrong with it (empty when nothing is)."""
        try:
            path = (base / name).resolve()
            is_file, is_folder = path.is_file(), path.is_dir()
        except (ValueError, OSError, RuntimeError) as error:
            return base, f"{shown(name)} is not a path: {error}"
        if name == "":
            return path, "is empty; give a path, or leave the line out"
        if not path.exists():
            return path, f"{shown(name)} does not exist; looked for {path}"
        if (wanted == "file" and not is_file) or (wanted == "folder" and not is_folder):
            found = "folder" if is_folder else "file" if is_file else "device or the like"
            return path, f"{shown(name)} is a {found}, it has to be a {wanted}: {path}"
        return path, ""

    def model(self) -> Iterator[tuple[Step, str]]:
        name = self.named("model", "path")
        if name is None:
            return
        path, wrong = self.look(name, self.directory, "file or folder")
        wrong = wrong or _unusable_folder(path, shown(name))
        if wrong:
            yield ("model", "path"), wrong

    def inference(self) -> Iterator[tuple[Step, str]]:
        name = self.named("inference", "source_directory")
        source, wrong = self.look("." if name is None else name, self.directory, "folder")
        if wrong:
            yield ("inference", "source_directory"), wrong
        else:
            yield from self.entry_script(source)
        requirements = self.named("inference", "requirements")
        if requirements is not None:
            path, wrong = self.look(requirements, self.directory, "file")
            wrong = wrong or _unusable_requirements(path)
            if wrong:
                yield ("inference", "requirements"), wrong

    def entry_script(self, source: Path) -> Iterator[tuple[Step, str]]:
        name = self.named("inference", "entry_script")
        if name is None:
            return
        path, wrong = self.look(name, source, "file")
        if not wrong and not path.is_relative_to(source):
            wrong = f"{shown(name)} lies outside source_directory: {path}"
        if wrong:
            yield ("inference", "entry_script"), wrong

    def samples(self) -> Iterator[tuple[Step, str]]:
        name = self.named("check", "samples")
        if name is None:
            return
        path, wrong = self.look(name, self.directory, "file")
        wrong = wrong or _not_ndjson(path)
        if wrong:
            yield ("check", "samples"), wrong


def _unusable_requirements(path: Path) -> str:
    try:
        list(words_of(path))
    except UserError as error:
        return f"{error.where}: {error.message} {error.remedy}"
    return ""


def _unusable_folder(path: Path, name: str) -> str:
    """What is wrong with a model that lies in a folder; empty for any other."""
    if not path.is_dir():
        return ""
    try:
        files = [file for _, file in iter_files(path)]
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}: {error.filename}"
    unreadable = next((file for file in files if not os.access(file, os.R_OK)), None)
    if unreadable is not None:
        return f"{name} holds a file that cannot be read: {unreadable}"
    return "" if files else f"{name} is an empty folder: {path}"


def _not_ndjson(path: Path) -> str:
    number = samples = 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                number += 1
                if line.strip():
                    json.loads(line)
                    samples += 1
    except (ValueError, RecursionError):
        return f"line {number} of {path} is not JSON"
    except OSError as error:
        return f"cannot be read: {error.strerror}: {path}"
    return "" if samples else f"holds no sample: {path}"
