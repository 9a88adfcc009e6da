"""The folder registry of models: models/<name>/<version>/ with a copy and a manifest."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from weir.content import tree_digest
from weir.errors import PermanentError, UserError
from weir.local.disk import storage_error, write_atomically
from weir.local.home import Home
from weir.local.model_files import copy_model, copy_release, require_release_of, require_whole
from weir.ports import ModelVersion

LATEST = "latest"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_MANIFEST = "manifest.json"


class _Manifest(BaseModel):
    name: str
    version: str
    digest: str
    registered_at: datetime
    model: str
    """Name of the file or folder below ``model/``."""
    release: str | None = None
    """Name of the release file below ``release/``."""
    tags: dict[str, str] = {}


class LocalModels:
    """ports.Models in ``home``. A version is there wholly or not at all, and never changes."""

    def __init__(self, home: Path) -> None:
        self._home = Home(home)

    def register(
        self,
        name: str,
        path: Path,
        *,
        version: str | None = None,
        release_file: Path | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """Copy the file or folder ``path``, and ``release_file`` with the folder it stands in.

        The content is the model and the release files; the same content again gives the version
        that has it, unless another ``version`` is asked for. Without ``version`` the next whole
        number is taken. Raises UserError ``model.*``, SpecError for a release file that
        is wrong, PermanentError ``disk.*``.
        """
        _require_name(name)
        if version is not None:
            _require_version(name, version)
        _require_path(name, path, "model")
        if release_file is not None:
            _require_path(name, release_file, "release file")
            require_release_of(name, release_file)
        with self._locked(name) as folder:
            new = folder / f".new-{secrets.token_hex(6)}"
            try:
                new.mkdir(mode=0o700)
                copy_model(path, new / "model")
                if release_file is not None:
                    copy_release(release_file, path, new / "release")
                    require_whole(release_file, new / "release" / release_file.name)
                digest = tree_digest(new)
                known = self._same(name, digest, version)
                if known is not None:
                    return known
                chosen = version or _next(self.versions(name))
                manifest = _Manifest(
                    name=name,
                    version=chosen,
                    digest=digest,
                    registered_at=datetime.now(UTC),
                    model=path.resolve().name,
                    release=release_file.name if release_file else None,
                    tags=dict(tags or {}),
                )
                write_atomically(new / _MANIFEST, manifest.model_dump_json(indent=1) + "\n")
                new.rename(folder / chosen)
            except shutil.Error as error:
                first = error.args[0][0]
                raise PermanentError(
                    "model.not_copied",
                    f"{first[0]} cannot be copied: {first[2]}.",
                    remedy="Make it readable, and see that there is space, then register again.",
                    where=f"model {name}",
                ) from error
            except OSError as error:
                raise storage_error(error, folder) from error
            finally:
                shutil.rmtree(new, ignore_errors=True)
        return self._read(folder / chosen)

    def get(self, name: str, version: str) -> ModelVersion:
        """``latest`` is the highest number, or the newest version when none is a number."""
        found = self.versions(name)
        if version == LATEST and found:
            return max(found, key=_age)
        for one in found:
            if one.version == version:
                return one
        raise self._unknown(name, version, found)

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """From the oldest to ``latest``."""
        folder = self._folder(name)
        if folder is None or not folder.is_dir():
            return ()
        found = [self._read(path.parent) for path in folder.glob(f"[!.]*/{_MANIFEST}")]
        return tuple(sorted(found, key=_age))

    def _same(self, name: str, digest: str, version: str | None) -> ModelVersion | None:
        """The version that has this content; raises UserError when ``version`` has other."""
        found = self.versions(name)
        for one in found:
            if one.version == version and one.digest != digest:
                raise UserError(
                    "model.version_taken",
                    f"version {version} of model {name} is there already, with other content.",
                    remedy="Leave the version out to get the next number, or choose another.",
                    where=f"model {name}",
                )
        same = [one for one in found if one.digest == digest and version in (None, one.version)]
        return same[-1] if same else None

    def _read(self, folder: Path) -> ModelVersion:
        path = folder / _MANIFEST
        try:
            manifest = _Manifest.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise PermanentError(
                "model.corrupt",
                "the manifest of this model version cannot be read.",
                remedy=f"Remove {folder} and register the model again.",
                where=str(path),
            ) from error
        return ModelVersion(
            name=manifest.name,
            version=manifest.version,
            path=folder / "model" / manifest.model,
            digest=manifest.digest,
            registered_at=manifest.registered_at,
            release_file=folder / "release" / manifest.release if manifest.release else None,
            tags=manifest.tags,
        )

    def _unknown(self, name: str, version: str, found: tuple[ModelVersion, ...]) -> UserError:
        if found:
            known = ", ".join(one.version for one in found)
            message = f"model {name} has no version {version}; it has {known}."
        else:
            folders = (self._home.root / "models").glob("[!.]*")
            names = ", ".join(sorted(path.name for path in folders if self.versions(path.name)))
            known = f"registered are {names}" if names else "none is registered yet"
            message = f"there is no model {name}; {known}."
        return UserError(
            "model.unknown",
            message,
            remedy=f"Register it: weir register PATH --name {name}.",
            where=f"model {name}",
        )

    def _folder(self, name: str) -> Path | None:
        return self._home.root / "models" / name if _NAME.fullmatch(name) else None

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        folder = self._home.models / name
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise storage_error(error, folder) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Copies that a killed registration left; nobody else is at work under the lock.
            for left in folder.glob(".new-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield folder
        finally:
            os.close(lock)


def _age(model: ModelVersion) -> tuple[int, datetime]:
    return _number(model.version), model.registered_at


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else -1


def _next(found: tuple[ModelVersion, ...]) -> str:
    return str(max((_number(one.version) for one in found), default=0) + 1 if found else 1)


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            "model.name",
            f"{name!r} is no name of a model; allowed are lower-case letters, digits and hyphens.",
            remedy="Choose a name like fraud or churn-eu.",
            where="model name",
        )


def _require_version(name: str, version: str) -> None:
    if version == LATEST or not _VERSION.fullmatch(version):
        raise UserError(
            "model.version",
            f"{version!r} is no version; allowed are letters, digits, dots, hyphens, underscores.",
            remedy="Choose a version like 7 or 2026-11-23, or leave it out.",
            where=f"model {name}",
        )


def _require_path(name: str, path: Path, what: str) -> None:
    empty = path.is_dir() and not any(path.iterdir())
    if not path.exists() or empty or (what != "model" and not path.is_file()):
        raise UserError(
            "model.missing",
            f"the {what} {path} {'is empty' if empty else 'is not there'}.",
            remedy="Give the path of a file or of a folder with files.",
            where=f"model {name}",
        )
