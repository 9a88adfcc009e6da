"""Reads a release file: YAML text to a checked ReleaseSpec, every mistake reported at once."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from weir.errors import UserError
from weir.spec.explain import explain
from weir.spec.files import digest_of, missing_files
from weir.spec.problems import Problem, SpecError
from weir.spec.release import ReleaseSpec
from weir.spec.source import Source, as_written, read_source
from weir.spec.text import read_text


@dataclass(frozen=True)
class Loaded:
    """A release file and what it refers to.

    ``directory`` is where its relative paths start. ``digest`` is equal exactly when the settings
    and the content of every file are; files may be moved without changing it.
    """

    spec: ReleaseSpec
    path: Path
    directory: Path
    digest: str


class RegisteredModel(Protocol):
    """What ``with_model`` needs of a model version in a registry."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def path(self) -> Path: ...


def load_release(path: str | os.PathLike[str], *, with_its_model: bool = True) -> Loaded:
    """The release in the file ``path``. Reads only.

    ``with_its_model=False`` passes over model.path, for a release that gets another model. A model
    without ``path`` stays unresolved; see ``with_model``. Raises SpecError, which holds
    every mistake in the text, the fields and the files it names.
    """
    shown_path = os.fspath(path)
    where = Path(path).expanduser()
    source = read_source(read_text(where, shown_path, "release file"), shown_path)
    if source.data is None:
        raise SpecError(source.problems)
    if not with_its_model and isinstance(source.data, dict):
        source = replace(source, data=_without_model_path(source.data))
    directory = where.resolve().parent
    problems = list(source.problems)
    spec = _validated(source, problems)
    wrong = {problem.field for problem in problems}
    for place, message in missing_files(source.data, directory):
        field = as_written(place)
        if field not in wrong:
            problems.append(Problem(source.file, message, field, source.line(place)))
    if spec is None or problems:
        raise SpecError(problems)
    try:
        digest = digest_of(spec, directory)
    except OSError as error:
        raise _unreadable_content(error, shown_path) from error
    return Loaded(spec=spec, path=where.resolve(), directory=directory, digest=digest)


def with_model(loaded: Loaded, model: RegisteredModel) -> Loaded:
    """The release with the registered ``model``: its version, its path, and a digest to match.

    Raises UserError ``release.other_model`` when the release is of a model of another name.
    """
    wanted = loaded.spec.model
    if wanted.name != model.name:
        raise UserError(
            "release.other_model",
            f"the release is of model {wanted.name}, not of {model.name}.",
            remedy=f"Change model.name, or give a release file for {model.name}.",
            where=str(loaded.path),
        )
    resolved = wanted.model_copy(update={"version": model.version, "path": str(model.path)})
    spec = loaded.spec.model_copy(update={"model": resolved})
    try:
        digest = digest_of(spec, loaded.directory)
    except OSError as error:
        raise _unreadable_content(error, str(loaded.path)) from error
    return replace(loaded, spec=spec, digest=digest)


def _validated(source: Source, problems: list[Problem]) -> ReleaseSpec | None:
    # JSON mode is strict about kinds ("2" is no number, true is no number), yet takes lists.
    try:
        return ReleaseSpec.model_validate_json(json.dumps(source.data), strict=True)
    except ValidationError as error:
        known = {problem.field for problem in problems}
        problems += [problem for problem in explain(error, source) if problem.field not in known]
        return None


def _without_model_path(data: dict[str, Any]) -> dict[str, Any]:
    model = data.get("model")
    if not isinstance(model, dict):
        return data
    return {**data, "model": {key: value for key, value in model.items() if key != "path"}}


def _unreadable_content(error: OSError, shown_path: str) -> SpecError:
    return SpecError([Problem(shown_path, f"{error.filename}: cannot be read: {error.strerror}")])
