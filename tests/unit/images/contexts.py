"""Builds what goes into an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weir.ports import BuildContext
from weir.spec.inference import Inference


def context_in(folder: Path, *, requirements: str | None = None, **inference: Any) -> BuildContext:
    """An entry script, a model folder, and requirements if they are given."""
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    (source / "score.py").write_text("def init(): ...\n")
    (folder / "fraud").mkdir(exist_ok=True)
    (folder / "fraud" / "weights.bin").write_bytes(b"weights")
    wanted = None
    if requirements is not None:
        wanted = folder / "requirements.txt"
        wanted.write_text(requirements)
    settings = {"entry_script": "score.py"} if "command" not in inference else {}
    return BuildContext(
        folder / "fraud", source, wanted, Inference.model_validate({**settings, **inference})
    )
