"""What every command prints with: one console for words, one for complaints."""

from __future__ import annotations

import logging
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from weir.errors import WeirError
from weir.spec.text import printable_lines

__all__ = [
    "PlatformConsole",
    "ProgressHandler",
    "complain",
    "err",
    "escape",
    "out",
    "progress_on",
    "speak_of",
    "with_platform",
]

_TAKES_IT = "status|logs|promote|rollback|pause|resume|keys|delete|release|plan|register"
COMMAND = re.compile(rf"(?<![\w./-])weir (?:{_TAKES_IT})(?![\w-])")
"""A command that takes --platform, as messages name it."""

_spoken_of = ""


def speak_of(platform: str) -> None:
    """The commands that are printed from now on are for ``platform``; empty for this machine."""
    global _spoken_of
    _spoken_of = platform


def with_platform(words: str) -> str:
    """``words``, with the platform in each command that needs it to do what they say.

    It stands right after the subcommand, where the words that follow cannot spoil it. A line that
    names a platform already is left alone.
    """
    if not _spoken_of:
        return words
    option = f" --platform {shlex.quote(_spoken_of)}"
    return "\n".join(
        line if "--platform" in line else COMMAND.sub(lambda found: found[0] + option, line)
        for line in words.split("\n")
    )


class PlatformConsole(Console):
    """Prints commands as ``with_platform`` has them. What is no plain text is left as it is."""

    def print(self, *objects: Any, **options: Any) -> None:
        named = (with_platform(one) if isinstance(one, str) else one for one in objects)
        super().print(*named, **options)


# No emoji: what stands between two colons is a part of a name.
out = PlatformConsole(highlight=False, soft_wrap=True, emoji=False)
err = PlatformConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)

WAITING_EVERY_SECONDS = 10.0
"""How often a run without a terminal says what it waits for."""

MARKS = {
    "promoted": "[green]✔[/]",
    "rolled_back": "[yellow]↩[/]",
    "failed": "[red]✘[/]",
    "deployed": "[green]✔[/]",
}


def complain(error: WeirError) -> None:
    """One foreseeable error: what, where, what to do now. No traceback."""
    err.print(f"[bold red]weir:[/] {escape(with_platform(printable_lines(str(error))))}")


class ProgressHandler(logging.Handler):
    """Prints what a run tells, a line each.

    What it waits for (``record.waiting``) stands below the lines in a terminal, and is a line
    every WAITING_EVERY_SECONDS elsewhere. ``pictured`` leaves it out in a terminal, where
    something else is drawn already. ``state`` is the name of the run's final state, once told.
    """

    def __init__(self, console: Console, *, pictured: bool = False) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._pictured = pictured
        self._status: Status | None = None
        self._printed_at = time.monotonic()
        self.state = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.state = getattr(record, "facts", {}).get("state", self.state)
        words = escape(with_platform(printable_lines(record.getMessage())))
        if not getattr(record, "waiting", False):
            self.close_status()
            self._print(record, words)
        elif not self._console.is_terminal:
            if time.monotonic() - self._printed_at >= WAITING_EVERY_SECONDS:
                self._print(record, words)
        elif not self._pictured:
            self._show(words)

    def close_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _show(self, words: str) -> None:
        if self._status is not None:
            self._status.update(words)
            return
        self._status = self._console.status(words)
        self._status.start()

    def _print(self, record: logging.LogRecord, words: str) -> None:
        facts = getattr(record, "facts", {})
        mark = MARKS.get(str(facts.get("outcome", "")), "[cyan]•[/]")
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        columns = (f"[dim]{stamp}[/]", mark, words)
        self._printed_at = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(*columns)
            return
        line = Table.grid(padding=(0, 1))
        line.add_row(*columns)
        self._console.print(line, soft_wrap=False)


@contextmanager
def progress_on(handler: ProgressHandler) -> Iterator[None]:
    """What runs in this process tell goes to ``handler``, for as long as the block lasts."""
    logger = logging.getLogger("weir.progress")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close_status()
