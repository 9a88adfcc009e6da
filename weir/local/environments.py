"""Isolated Python environments, built by uv, addressed by what goes into them, and shared."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from weir.errors import PermanentError, TemporaryError, WeirError
from weir.local.disk import PRIVATE_FILE, storage_error, write_atomically
from weir.local.home import Home
from weir.spec.requirements import words_in, words_of

BUILD_SECONDS = 1800.0

YOUNG_SECONDS = 3600.0
"""What was asked for within this time is not removed: its release may not have written down yet
that it uses it."""

_COMPLETE = ".complete"

_SECRET_IN_URL = re.compile(r"://[^/\s@]+@")
_SHOWN_LINES = 8


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of: a requirements file, and weir's own pins.

    Where ``lines`` are given they are the requirements, and stand in the file: a conda file's pip
    section.
    """

    requirements: Path | None
    pins: tuple[str, ...] = ()
    lines: tuple[str, ...] | None = None

    def digest(self) -> str:
        """Changes with the requirements' words, the pins and the Python.

        Raises UserError ``image.requirements_missing`` or ``image.requirements_editable``.
        """
        lines = [] if self.requirements is None else list(self._words(self.requirements))
        parts = [f"{sys.version_info[0]}.{sys.version_info[1]}", platform.machine(), sys.platform]
        return hashlib.sha256("\n".join([*parts, *self.pins, "", *lines]).encode()).hexdigest()[:24]

    def _words(self, file: Path) -> Iterator[str]:
        return words_of(file) if self.lines is None else words_in(self.lines, file)


class Environments:
    """The environments of a home. ``run`` runs uv and is replaceable for tests."""

    def __init__(
        self, home: Home, run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    ) -> None:
        self._home = home
        self._run = run

    def exists(self, digest: str) -> bool:
        """Whether it is complete, and its Python still there."""
        folder = self._home.environment(digest)
        return (folder / _COMPLETE).exists() and (folder / "bin" / "python").exists()

    def ensure(self, recipe: Recipe) -> str:
        """The digest of the complete environment, built unless it is there.

        Raises PermanentError ``image.requirements_unresolvable``, ``image.environment_failed`` or
        ``disk.full``, TemporaryError ``image.index_unreachable`` or ``image.being_built``.
        """
        digest = recipe.digest()
        with hold_lock(self._home.environments / f"{digest}.lock") as lock:
            if self.exists(digest):
                # From now on it is young, and retain leaves it to who asked for it.
                (self._home.environment(digest) / _COMPLETE).touch()
            else:
                folder = self._home.environment(digest)
                try:
                    self._build(folder, recipe, lock)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
        return digest

    def retain(self, digests: set[str]) -> None:
        """Remove environments that are not among ``digests``, not being built and not young."""
        for folder in self._home.environments.iterdir():
            if folder.is_dir() and folder.name not in digests:
                with (
                    contextlib.suppress(TemporaryError),
                    hold_lock(folder.with_name(f"{folder.name}.lock"), wait=False),
                ):
                    complete = folder / _COMPLETE
                    if not is_young(complete):
                        complete.unlink(missing_ok=True)
                        shutil.rmtree(folder, ignore_errors=True)

    def _build(self, folder: Path, recipe: Recipe, lock: int) -> None:
        # Half an environment of a builder that was killed; only .complete makes one usable.
        shutil.rmtree(folder, ignore_errors=True)
        python = str(folder / "bin" / "python")
        self._uv(["venv", "--python", sys.executable, str(folder)], recipe, lock)
        wanted = [*recipe.pins]
        if recipe.lines is not None:
            wanted += ["--requirement", "-"]
        elif recipe.requirements is not None:
            wanted += ["--requirement", str(recipe.requirements)]
        if wanted:
            self._uv(["pip", "install", "--python", python, *wanted], recipe, lock)
        resolved = self._uv(["pip", "freeze", "--python", python], recipe, lock)
        write_atomically(folder / "resolved.txt", resolved, PRIVATE_FILE)
        write_atomically(folder / _COMPLETE, "", PRIVATE_FILE)

    def _uv(self, arguments: list[str], recipe: Recipe, lock: int) -> str:
        import uv

        where = recipe.requirements
        try:
            done = self._run(
                [uv.find_uv_bin(), "--color", "never", "--no-progress", *arguments],
                env=uv_environment(os.environ),
                cwd=where.parent if where else self._home.root,
                input="\n".join(recipe.lines or ()),
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                # uv keeps the lock while it runs: should weir be killed, the next builder waits
                # for the orphan instead of building into the same folder.
                pass_fds=(lock,),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TemporaryError(
                "image.index_unreachable",
                f"uv did not end within {BUILD_SECONDS:g} s.",
                remedy="Check the connection to the package index, then run again.",
                where=str(where or ""),
            ) from error
        if done.returncode != 0:
            raise failure(done.stderr, where)
        return done.stdout


def is_young(marker: Path) -> bool:
    """Whether the file was written or touched within ``YOUNG_SECONDS``; not if it is missing."""
    try:
        return time.time() - marker.stat().st_mtime < YOUNG_SECONDS
    except FileNotFoundError:
        return False


def uv_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without its virtual environment, its index settings kept.

    uv does not read pip's index variables; whoever set only those wants them here too.
    """
    kept = {k: v for k, v in inherited.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    for ours, theirs in (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
    ):
        if inherited.get(ours) and "UV_INDEX_URL" not in inherited:
            kept.setdefault(theirs, inherited[ours])
    return kept | {"UV_PYTHON_DOWNLOADS": "never"}


def failure(output: str, requirements: Path | None) -> WeirError:
    """What uv's error output means, with its own last lines."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()][-_SHOWN_LINES:]
    words = _SECRET_IN_URL.sub("://…@", "".join(f"\n    {line}" for line in lines))
    where, low = str(requirements or ""), output.lower()
    if "no space left" in low or "quota exceeded" in low:
        return PermanentError(
            "disk.full",
            f"there is no space left to build the environment:{words}\n",
            remedy="Free space, then run again.",
            where=where,
        )
    if any(sign in low for sign in ("error sending request", "dns error", "connect error")):
        return TemporaryError(
            "image.index_unreachable",
            f"the package index cannot be reached:{words}\n",
            remedy="Check the connection and the index settings, then run again.",
            where=where,
        )
    if any(
        sign in low
        for sign in ("no solution found", "couldn't parse requirement", "was not found in the")
    ):
        return PermanentError(
            "image.requirements_unresolvable",
            f"the requirements do not resolve; uv says:{words}\n",
            remedy="Correct the requirements file and release again.",
            where=where,
        )
    return PermanentError(
        "image.environment_failed",
        f"the environment cannot be built; uv says:{words}\n",
        remedy="Correct the requirements, or install what is missing, and release again.",
        where=where,
    )


@contextlib.contextmanager
def hold_lock(path: Path, wait: bool = True) -> Iterator[int]:
    """Hold the lock file; its descriptor. Raises TemporaryError when not waiting for it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise TemporaryError(
                "image.being_built",
                "another command is building this environment.",
                remedy="Run again in a moment.",
                where=str(path),
            ) from error
        yield descriptor
    finally:
        os.close(descriptor)
