"""Commands in what is printed are for the platform that the process is about."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from rich.table import Table
from typer.testing import CliRunner

from weir.cli import output
from weir.cli.lookout import _no_log
from weir.cli.main import app
from weir.cli.opening import note_platform
from weir.cli.output import PlatformConsole, ProgressHandler, with_platform
from weir.errors import UserError


@pytest.fixture(autouse=True)
def _this_machine_again() -> Iterator[None]:
    yield
    output.speak_of("")


def printed(*objects: object, terminal: bool = False) -> str:
    written = io.StringIO()
    console = PlatformConsole(
        file=written, highlight=False, soft_wrap=True, emoji=False, force_terminal=terminal
    )
    console.print(*objects)
    return written.getvalue()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("weir status fraud.", "weir status --platform kubernetes fraud."),
        (
            "weir resume fraud takes it back, weir rollback fraud ends it",
            "weir resume --platform kubernetes fraud takes it back,"
            " weir rollback --platform kubernetes fraud ends it",
        ),
        ("See weir logs.", "See weir logs --platform kubernetes."),
        ("weir release FILE --platform other", "weir release FILE --platform other"),
        (
            "docker build --platform linux\nweir keys fraud",
            "docker build --platform linux\nweir keys --platform kubernetes fraud",
        ),
        ("weir up, weir down, weir demo", "weir up, weir down, weir demo"),
        ("examples/weir release-v2 weir released", "examples/weir release-v2 weir released"),
    ],
)
def test_a_command_names_the_platform_of_the_process(words: str, shown: str) -> None:
    assert with_platform(words) == words
    note_platform("kubernetes")
    assert with_platform(words) == shown
    assert with_platform(shown) == shown
    note_platform("local")
    assert with_platform(words) == words


def test_a_context_with_signs_of_the_shell_and_of_markup_stays_one_word() -> None:
    note_platform("kubernetes:my [b] context:bug:")
    words = "weir plan --platform 'kubernetes:my [b] context:bug:'"
    written = io.StringIO()
    told = logging.LogRecord("weir.progress", logging.INFO, "", 0, "weir plan", None, None)
    ProgressHandler(
        PlatformConsole(file=written, highlight=False, soft_wrap=True, emoji=False)
    ).emit(told)
    assert words in written.getvalue()


def test_markup_and_tables_are_left_whole() -> None:
    note_platform("kubernetes")
    table = Table.grid()
    table.add_row("weir status fraud")
    assert printed("[bold]fraud[/]: weir pause fraud") == (
        "fraud: weir pause --platform kubernetes fraud\n"
    )
    assert "weir status fraud" in printed(table)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_names_it_in_a_terminal_and_elsewhere(terminal: bool) -> None:
    note_platform("kubernetes")
    written = io.StringIO()
    console = PlatformConsole(file=written, force_terminal=terminal, width=120, highlight=False)
    told = logging.LogRecord("weir.progress", logging.INFO, "", 0, "weir logs fraud", None, None)
    ProgressHandler(console).emit(told)
    assert "weir logs --platform kubernetes fraud" in written.getvalue()


def test_a_complaint_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    note_platform("weir-kubernetes-cluster/prod")
    error = UserError("a.b", "no.", remedy="Run weir release FILE.")
    output.complain(error)
    assert "weir release --platform weir-kubernetes-cluster/prod FILE." in capsys.readouterr().err


@pytest.mark.parametrize("command", [("status",), ("pause", "fraud"), ("release", "nowhere.yaml")])
def test_a_misspelt_platform_is_refused_before_anything_is_asked(command: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, [*command, "--platform", "kubernets"]).exception
    assert isinstance(refused, UserError)
    assert "did you mean kubernetes?" in refused.message


def test_a_version_without_a_log_may_be_gone_where_logs_go_with_pods() -> None:
    known = ["v1", "v2"]
    assert _no_log("fraud", "v3", known, keeps=False).message == (
        "version v3 has written no log, or was removed and its log went with its pods; the versions"
        " are v1, v2."
    )
    assert _no_log("fraud", "v2", known, keeps=False).message == (
        "version v2 has written no log; the versions are v1, v2."
    )
    assert _no_log("fraud", "v3", [], keeps=True).message == "version v3 has written no log."
