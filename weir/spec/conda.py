"""A conda environment file: what conda installs of it, and what pip does. Reads only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from weir.errors import UserError

_NAME = re.compile(r"^(?:[^\s:]+::)?([A-Za-z0-9_.-]+)")
_EVERYWHERE = frozenset({"python", "pip"})


@dataclass(frozen=True)
class CondaFile:
    """``packages`` are conda's, ``pip`` the lines of the pip section, ``settings`` all the rest."""

    packages: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def needs_conda(self) -> tuple[str, ...]:
        """The packages without which an environment of Python and pip would not do."""
        return tuple(one for one in self.packages if _name(one) not in _EVERYWHERE)

    def without_pip_section(self) -> str:
        """The same environment as YAML, with pip in it to install the rest; deterministic."""
        packages = list(self.packages)
        if "pip" not in {_name(one) for one in packages}:
            packages.append("pip")
        return yaml.safe_dump({**self.settings, "dependencies": packages}, sort_keys=True)


def read_conda_file(path: Path) -> CondaFile:
    """Raises UserError ``image.conda_file_missing`` or ``image.conda_file_invalid``."""
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            "image.conda_file_missing",
            f"the conda file cannot be read: {error}.",
            remedy="Correct inference.conda_file, or put it there.",
            where=str(path),
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise _invalid(path, f"it is not YAML{place}") from error
    if not isinstance(found, dict) or not isinstance(found.get("dependencies"), list):
        raise _invalid(path, "it has no list of dependencies")
    packages: list[str] = []
    pip: list[str] = []
    for one in found.pop("dependencies"):
        if isinstance(one, str) and _NAME.match(one):
            packages.append(one)
        elif isinstance(one, dict) and set(one) == {"pip"} and _is_texts(one["pip"]):
            pip += one["pip"]
        else:
            raise _invalid(path, f"the dependency {one!r} is neither a package nor a pip section")
    # Where and under which name somebody had it, which means nothing in an image.
    settings = {key: found[key] for key in found if key not in ("name", "prefix")}
    return CondaFile(tuple(packages), tuple(pip), settings)


def _name(package: str) -> str:
    found = _NAME.match(package)
    return found[1].lower() if found else ""


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _invalid(path: Path, why: str) -> UserError:
    return UserError(
        "image.conda_file_invalid",
        f"the conda file cannot be used: {why}.",
        remedy="Correct it; conda env export --from-history writes one.",
        where=str(path),
    )
