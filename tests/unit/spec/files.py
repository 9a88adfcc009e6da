"""Builds release files and what they refer to."""

from __future__ import annotations

from pathlib import Path

import pytest

from weir.spec.load import load_release
from weir.spec.problems import SpecError

GOOD = """\
endpoint: fraud
version_name: v1
model:
  name: fraud
  version: 1
  path: model
inference:
  entry_script: score.py
  source_directory: src
  requirements: requirements.txt
check:
  samples: samples.ndjson
"""


def release(folder: Path, text: str = GOOD) -> Path:
    """A release file of ``text`` among all the files that GOOD names."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "weights.bin").write_bytes(b"weights")
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "score.py").write_text("def init(): ...\n")
    (folder / "requirements.txt").write_text("numpy\n")
    (folder / "samples.ndjson").write_text('{"data": [[1]]}\n')
    path = folder / "release.yaml"
    path.write_text(text)
    return path


def problems(path: Path) -> list[str]:
    """The lines of the error that loading gives, with the file's folder left out."""
    with pytest.raises(SpecError) as error:
        load_release(path)
    return [line.replace(f"{path.parent}/", "") for line in str(error.value).split("\n")]


def problems_of(folder: Path, addition: str) -> list[str]:
    return problems(release(folder, GOOD + addition))
