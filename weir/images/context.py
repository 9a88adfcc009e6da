"""What goes to a builder: a Dockerfile and all that it copies, the same bytes for equal content.

No time, owner or place of a file counts. Files are streamed, however large a model is.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from weir.content import iter_files
from weir.errors import TemporaryError, UserError
from weir.images import dockerignore
from weir.images.checking import check_files
from weir.images.dockerfile import CONDA_FILE, Bases, Parts, render
from weir.images.requirements import FOLDER, Packed, pack
from weir.ports import BuildContext
from weir.spec.conda import read_conda_file
from weir.spec.dockerfile_steps import read_steps
from weir.spec.requirements import lines_of

DOCKERFILE = "Dockerfile"

_SHIPPED = f"*\n!source\n!model\n!{FOLDER}\n!{CONDA_FILE}\n"
_TIME = 315_619_200
"""The time of every file, in seconds: early in 1980, since zip files know none before."""


@dataclass(frozen=True)
class Entry:
    """A file of the context, by its name there. ``content`` is its bytes, or where it lies."""

    name: str
    content: bytes | Path
    is_executable: bool = False

    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def open(self) -> IO[bytes]:
        if isinstance(self.content, bytes):
            return io.BytesIO(self.content)
        return self.content.open("rb")


@dataclass(frozen=True)
class Prepared:
    """A context in its order. ``loose`` are requirements that leave a version open."""

    entries: tuple[Entry, ...]
    loose: tuple[str, ...] = ()

    def folders(self) -> tuple[str, ...]:
        """Every folder of it, those above first."""
        found = {str(above) for one in self.entries for above in PurePosixPath(one.name).parents}
        return tuple(sorted({"source", *found} - {"."}, key=os.fsencode))


def prepare(context: BuildContext, bases: Bases) -> Prepared:
    """Reads names and small files only.

    Raises UserError ``image.*`` for what is missing or wrong.
    """
    check_files(context)
    files = list(_source(context.source_directory, context.inference.entry_script))
    model = list(_model(context.model_path))
    conda, packed = _environment(context)
    steps = read_steps(context.extra_dockerfile_steps) if context.extra_dockerfile_steps else ""
    parts = Parts(
        has_model=bool(model),
        has_requirements=bool(packed.texts),
        has_conda=conda is not None,
        has_hashes=packed.has_hashes(),
        steps=steps,
    )
    texts = {
        DOCKERFILE: render(context.inference, parts, bases),
        dockerignore.NAME: _SHIPPED,
        **{f"{FOLDER}/{name}": text for name, text in packed.texts.items()},
        **({} if conda is None else {CONDA_FILE: conda}),
    }
    entries = [Entry(name, text.encode()) for name, text in texts.items()]
    entries += [*_packages(packed), *model, *files]
    return Prepared(tuple(sorted(entries, key=lambda entry: os.fsencode(entry.name))), packed.loose)


def digest(prepared: Prepared) -> str:
    """SHA-256 over names, executable bits and bytes, in hexadecimal."""
    return _digest(prepared, lambda *_: None)


def write_folder(prepared: Prepared, folder: Path) -> str:
    """Write the context into ``folder``; the digest of what was written.

    Raises TemporaryError ``image.source_changed``, and OSError.
    """

    def write(entry: Entry, stream: _Counted) -> None:
        path = folder / entry.name
        with path.open("wb") as target:
            shutil.copyfileobj(stream, target)
        path.chmod(_mode(entry))
        os.utime(path, (_TIME, _TIME))

    folder.mkdir(parents=True, exist_ok=True)
    for name in prepared.folders():
        (folder / name).mkdir()
        (folder / name).chmod(0o755)
    found = _digest(prepared, write)
    for name in prepared.folders():
        os.utime(folder / name, (_TIME, _TIME))
    return found


def write_archive(prepared: Prepared, target: IO[bytes]) -> str:
    """Write the context as a compressed tar file; the digest of what was written.

    Raises TemporaryError ``image.source_changed``, and OSError.
    """
    with (
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in prepared.folders():
            archive.addfile(_header(name, 0o755, kind=tarfile.DIRTYPE))

        def add(entry: Entry, stream: _Counted) -> None:
            try:
                archive.addfile(_header(entry.name, _mode(entry), entry.size()), stream)
            except OSError as error:
                if error.errno is None:
                    # It has become shorter than it was a moment ago.
                    raise _changed(str(entry.content)) from error
                raise

        return _digest(prepared, add)


def check_unchanged(written: str, foretold: str, context: BuildContext) -> None:
    """Raises TemporaryError ``image.source_changed``."""
    if written != foretold:
        raise _changed(str(context.source_directory))


@dataclass
class _Counted(io.RawIOBase):
    """A stream that keeps the digest of what was read of it."""

    stream: IO[bytes]
    read_so_far: hashlib._Hash = field(default_factory=hashlib.sha256)

    def read(self, size: int = -1) -> bytes:
        found = self.stream.read(size)
        self.read_so_far.update(found)
        return found


def _digest(prepared: Prepared, take: Callable[[Entry, _Counted], object]) -> str:
    whole = hashlib.sha256()
    for entry in prepared.entries:
        with _opened(entry) as stream:
            counted = _Counted(stream)
            take(entry, counted)
            while counted.read(1 << 20):
                pass
        mark = b"x" if entry.is_executable else b"-"
        whole.update(os.fsencode(entry.name) + b"\0" + mark + counted.read_so_far.digest())
    return whole.hexdigest()


def _opened(entry: Entry) -> IO[bytes]:
    try:
        return entry.open()
    except FileNotFoundError as error:
        raise _changed(str(entry.content)) from error
    except OSError as error:
        raise UserError(
            "image.file_unreadable",
            f"this goes into the image and cannot be read: {error.strerror}.",
            remedy="Correct its permissions, or leave it out by a line in .dockerignore.",
            where=str(entry.content),
        ) from error


def _source(folder: Path, entry_script: str | None) -> Iterator[Entry]:
    """What is shipped of the source: all but by-products and what its .dockerignore names."""
    rules = folder / dockerignore.NAME
    lines = rules.read_text(errors="replace").splitlines() if rules.is_file() else []
    ignored = dockerignore.parse(lines, str(rules))
    if entry_script is not None and str(PurePosixPath(entry_script)) in ignored:
        raise UserError(
            "image.entry_script_ignored",
            f"it leaves out the entry script {entry_script}.",
            remedy=f"Add a line !{entry_script} at its end.",
            where=str(rules),
        )
    for name, path in iter_files(folder):
        if name != dockerignore.NAME and name not in ignored:
            yield _file(f"source/{name}", path)


def _model(model: Path | None) -> Iterator[Entry]:
    if model is not None:
        prefix = f"model/{model.name}/" if model.is_dir() else "model/"
        for name, path in iter_files(model):
            yield _file(prefix + name, path)


def _environment(context: BuildContext) -> tuple[str | None, Packed]:
    """The conda file without its pip section, if there is one, and what pip is to install."""
    if context.conda_file is not None:
        conda = read_conda_file(context.conda_file)
        packed = pack(conda.pip, context.conda_file) if conda.pip else Packed({}, {})
        return conda.without_pip_section(), packed
    if context.requirements is not None:
        return None, pack(lines_of(context.requirements), context.requirements)
    return None, Packed({}, {})


def _packages(packed: Packed) -> Iterator[Entry]:
    for place, path in packed.packages.items():
        for name, file in iter_files(path):
            yield _file(f"{FOLDER}/{place}/{name}" if path.is_dir() else f"{FOLDER}/{place}", file)


def _file(name: str, path: Path) -> Entry:
    return Entry(name, path, is_executable=bool(path.stat().st_mode & 0o100))


def _mode(entry: Entry) -> int:
    return 0o755 if entry.is_executable else 0o644


def _header(name: str, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.mode, header.size, header.type, header.mtime = mode, size, kind, _TIME
    return header


def _changed(where: str) -> TemporaryError:
    return TemporaryError(
        "image.source_changed",
        "a file changed while the image was being built.",
        remedy="Run again when nothing writes there.",
        where=where,
    )
