"""The command `weir` as a process of its own, as people start it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WEIR = str(Path(sys.executable).with_name("weir"))


def weir(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``weir arguments`` in ``folder``, to its end."""
    return subprocess.run(
        [WEIR, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
