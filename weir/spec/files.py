"""The files a release refers to: where they lie, whether they are there, what they hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weir.content import file_digest, iter_files, tree_digest
from weir.errors import UserError
from weir.spec.conda import read_conda_file
from weir.spec.dockerfile_steps import read_steps
from weir.spec.explain import shown
from weir.spec.release import ReleaseSpec
from weir.spec.requirements import words_in, words_of

Step = tuple[str | int, ...]

_LATER = ("image", "base_image", "enable_gpu")


@dataclass(frozen=True)
class ReleaseFiles:
    """Absolute paths; None for what the release does not name."""

    model: Path | None
    source_directory: Path
    requirements: Path | None
    conda_file: Path | None
    extra_dockerfile_steps: Path | None
    samples: Path | None


def files_of(spec: ReleaseSpec, directory: Path) -> ReleaseFiles:
    """Where the files of ``spec`` lie, its relative paths starting from ``directory``."""

    def at(path: str | None) -> Path | None:
        return None if path is None else (directory / path).resolve()

    return ReleaseFiles(
        model=at(spec.model.path),
        source_directory=(directory / spec.inference.source_directory).resolve(),
        requirements=at(spec.inference.requirements),
        conda_file=at(spec.inference.conda_file),
        extra_dockerfile_steps=at(spec.inference.extra_dockerfile_steps),
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
        ("inference", "conda_file"),
        ("inference", "extra_dockerfile_steps"),
        ("check", "samples"),
    ):
        settings[part].pop(field)
    for field in _LATER:
        # As it was before the field was there: a release stays the same release.
        if not settings["inference"][field]:
            settings["inference"].pop(field)
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
    if files.conda_file is not None:
        conda = read_conda_file(files.conda_file)
        words = [conda.without_pip_section(), *words_in(conda.pip, files.conda_file)]
        contents["conda_file"] = hashlib.sha256("\n".join(words).encode()).hexdigest()
    if files.extra_dockerfile_steps is not None:
        contents["extra_dockerfile_steps"] = file_digest(files.extra_dockerfile_steps)
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
        for field, read in (
            ("requirements", _read_requirements),
            ("conda_file", _read_conda_file),
            ("extra_dockerfile_steps", read_steps),
        ):
            name = self.named("inference", field)
            if name is not None:
                path, wrong = self.look(name, self.directory, "file")
                wrong = wrong or _unusable(path, read)
                if wrong:
                    yield ("inference", field), wrong

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


def _unusable(path: Path, read: Callable[[Path], object]) -> str:
    try:
        read(path)
    except UserError as error:
        return f"{error.where}: {error.message} {error.remedy}"
    return ""


def _read_requirements(path: Path) -> None:
    list(words_of(path))


def _read_conda_file(path: Path) -> None:
    list(words_in(read_conda_file(path).pip, path))


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
