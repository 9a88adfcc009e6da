"""Requirements as they go into an image: the files they name go with them, under new names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from weir.spec.requirements import Line, counting, lines_of

FOLDER = "requirements"
FIRST = "requirements.txt"
IMAGE_REQUIREMENTS = f"/opt/weir/{FOLDER}"

_EXACT = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[^\]]*\])?\s*={2,3}\s*[^*\s;,]+\s*(;.*)?$")


@dataclass(frozen=True)
class Packed:
    """``texts`` are files by their name in FOLDER; ``packages`` what else lies there, by its name.

    ``loose`` are the requirements that leave a version open.
    """

    texts: dict[str, str]
    packages: dict[str, Path]
    loose: tuple[str, ...] = ()

    def has_hashes(self) -> bool:
        """Whether pip checks the hash of every package, and takes none without."""
        return any("--hash" in text or "--require-hashes" in text for text in self.texts.values())


@dataclass
class _Packing:
    base: Path
    texts: dict[str, str] = field(default_factory=dict)
    packages: dict[str, Path] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    names: dict[Path, str] = field(default_factory=dict)


def pack(lines: Iterable[str], file: Path) -> Packed:
    """The requirements in ``lines``, which stand in ``file``.

    Raises UserError ``image.requirements_missing`` or ``image.requirements_editable``.
    """
    packing = _Packing(file.parent, names={file.resolve(): FIRST})
    _pack(lines, file, FIRST, packing)
    return Packed(packing.texts, packing.packages, tuple(packing.loose))


def _pack(lines: Iterable[str], file: Path, name: str, packing: _Packing) -> None:
    written = []
    packing.texts[name] = ""
    for line in counting(lines, file, packing.base):
        if line.included is not None:
            written.append(line.text.replace(line.named, _included(line.included, packing)))
        elif line.local is not None:
            written.append(_moved(line, line.local, packing))
        else:
            written.append(line.text)
            if not line.text.startswith("-") and not _EXACT.match(_unhashed(line.text)):
                packing.loose.append(line.text)
    packing.texts[name] = "".join(f"{one}\n" for one in written)


def _included(file: Path, packing: _Packing) -> str:
    key = file.resolve()
    if key not in packing.names:
        packing.names[key] = f"included-{len(packing.names)}.txt"
        _pack(lines_of(file), file, packing.names[key], packing)
    return packing.names[key]


def _moved(line: Line, local: Path, packing: _Packing) -> str:
    """The line with the package's place in the image. pip takes NAME @ only with a whole URL."""
    place = f"packages/{len(packing.packages) + 1}/{local.resolve().name}"
    packing.packages[place] = local
    if " @ " in line.text:
        return line.text.replace(line.named, f"file://{IMAGE_REQUIREMENTS}/{place}")
    relative = place if line.text.startswith("-") else f"./{place}"
    return line.text.replace(line.named, relative)


def _unhashed(text: str) -> str:
    return text.split(" --hash")[0].rstrip("\\ ")
