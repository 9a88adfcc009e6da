"""KQL for DuckDB: translated once per text, and kept.

The translator takes a second to load and 70 MB to hold. So it runs in a process of its own, and
its SQL is kept in a folder under the digest of the text and of the translator's version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from weir.errors import PermanentError

_TRANSLATION_SECONDS = 120


@dataclass(frozen=True)
class Translation:
    """SQL for DuckDB. ``slots`` gives the SQL's placeholder of each declared parameter."""

    sql: str
    slots: Mapping[str, str]


def translated(kql: str, tables: Mapping[str, Sequence[str]], folder: Path) -> Translation:
    """``kql``, with declared parameters, as SQL; from ``folder`` if kept there.

    ``tables`` gives each table's column names. Raises PermanentError ``telemetry.untranslatable``.
    """
    request = json.dumps({"kql": kql, "tables": {name: list(tables[name]) for name in tables}})
    key = f"{version('duckdb-kql')}\n{request}"
    kept = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    try:
        answer = json.loads(kept.read_text(encoding="utf-8"))
        return Translation(answer["sql"], answer["slots"])
    except (OSError, ValueError, KeyError, TypeError):
        answer = _ask(request)
    # Without room to keep it the next process translates again, which costs a second.
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep(kept, json.dumps(answer))
    return Translation(answer["sql"], answer["slots"])


def _keep(path: Path, text: str) -> None:
    # What is torn by a crash is not understood, and made anew.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).rename(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _ask(request: str) -> Any:
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=request,
            capture_output=True,
            text=True,
            timeout=_TRANSLATION_SECONDS,
            check=True,
        )
        return json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        said = getattr(error, "stderr", None) or str(error) or "no answer"
        last = said.strip().splitlines()[-1][:500]
        raise PermanentError(
            "telemetry.untranslatable",
            f"the telemetry query cannot be translated for DuckDB: {last}",
            remedy="Install the versions of duckdb and duckdb-kql that weir asks for.",
            where="weir/telemetry",
        ) from error


def _translate(request: str) -> str:
    import duckdb_kql

    asked = json.loads(request)
    slots = {one.name: one.slot for one in duckdb_kql.query_parameters(asked["kql"])}
    sql = duckdb_kql.to_sql(asked["kql"], schema=asked["tables"])
    return json.dumps({"sql": str(sql), "slots": slots})


if __name__ == "__main__":
    sys.stdout.write(_translate(sys.stdin.read()))
