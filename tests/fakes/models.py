"""Models in memory: what is registered stays where it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from weir.errors import UserError
from weir.ports import ModelVersion


class FakeModels:
    """ports.Models. Content is told by the bytes of the files."""

    def __init__(self) -> None:
        self.registered: dict[str, list[ModelVersion]] = {}

    def register(
        self,
        name: str,
        path: Path,
        *,
        version: str | None = None,
        release_file: Path | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        files = [path, *([release_file] if release_file else [])]
        for file in files:
            if not file.exists():
                raise _error("model.missing", f"{file} is not there.")
        digest = hashlib.sha256(b"\0".join(map(_content, files))).hexdigest()
        known = self.registered.setdefault(name, [])
        for one in known:
            if one.version == version and one.digest != digest:
                raise _error("model.version_taken", f"{version} has other content.")
            if one.digest == digest and version in (None, one.version):
                return one
        numbers = [int(one.version) for one in known if one.version.isdecimal()]
        new = ModelVersion(
            name=name,
            version=version or str(max(numbers, default=0) + 1),
            path=path,
            digest=digest,
            registered_at=datetime.now(UTC),
            release_file=release_file,
            tags=dict(tags or {}),
        )
        known.append(new)
        return new

    def get(self, name: str, version: str) -> ModelVersion:
        found = self.versions(name)
        if version == "latest" and found:
            return found[-1]
        for one in found:
            if one.version == version:
                return one
        known = ", ".join(one.version for one in found) or "none"
        raise _error("model.unknown", f"{name} {version}; there is {known}.")

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        def age(one: ModelVersion) -> tuple[int, datetime]:
            return (int(one.version) if one.version.isdecimal() else -1), one.registered_at

        return tuple(sorted(self.registered.get(name, ()), key=age))


def _content(path: Path) -> bytes:
    if path.is_file():
        return path.name.encode() + path.read_bytes()
    return b"".join(_content(file) for file in sorted(path.iterdir()))


def _error(reason: str, message: str) -> UserError:
    return UserError(reason, message, remedy="", where="model")
