"""What a cluster or a log says does not steer the terminal that weir prints to."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from weir.cli import lookout, output
from weir.errors import PermanentError
from weir.spec.text import printable_line, printable_lines

EVIL = "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07 \x9b2J \x7f \u202e"


def is_harmless(text: str) -> bool:
    return not any(one in text for one in "\x1b\x07\x9b\x7f\u202e\x08\r")


def test_a_line_loses_its_colours_and_what_steers() -> None:
    assert printable_line(EVIL) == "red ?[2J?]0;title? ?2J ? ?"
    assert printable_line("a\tb") == "a   b"
    assert printable_lines("a\n\x1b[1mb\nc") == "a\nb\nc"


def test_an_error_is_printed_without_what_steers(capsys: pytest.CaptureFixture[str]) -> None:
    output.complain(PermanentError("a.b", f"first\n    {EVIL}", remedy="Do."))
    told = capsys.readouterr().err
    assert is_harmless(told)
    assert "first\n    red" in told


def test_progress_is_printed_without_what_steers() -> None:
    written = io.StringIO()
    handler = output.ProgressHandler(Console(file=written))
    handler.emit(logging.LogRecord("weir.progress", logging.INFO, "", 0, EVIL, None, None))
    assert is_harmless(written.getvalue())
    assert "title" in written.getvalue()


def test_what_status_shows_is_without_what_steers() -> None:
    written = io.StringIO()
    found = {"endpoint": "fraud", "error": f"one\n{EVIL}"}
    Console(file=written).print(lookout._picture([found]))
    assert is_harmless(written.getvalue())
