"""Entry point: commands, and what a foreseeable error looks like."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from weir import __version__
from weir.cli import backtest, cluster, demo, judge, lookout, operate, platform, render, runs
from weir.cli.output import complain
from weir.errors import WeirError

INTERRUPTED = 130

app = typer.Typer(
    name="weir",
    help="Ships machine-learning model versions by evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("demo")(demo.demo)
app.command("up")(platform.up)
app.command("down")(platform.down)
app.command("release")(runs.release)
app.command("plan")(runs.plan)
app.command("render")(render.render)
app.command("register")(runs.register)
app.command("judge")(judge.judge)
app.command("backtest")(backtest.backtest_command)
app.command("status")(lookout.status)
app.command("logs")(lookout.logs)
app.command("promote")(operate.promote)
app.command("rollback")(operate.rollback)
app.command("pause")(operate.pause)
app.command("resume")(operate.resume)
app.command("keys")(operate.keys)
app.command("delete")(operate.delete)
app.add_typer(cluster.app)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"weir {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_version, is_eager=True
    ),
) -> None:
    """Ships machine-learning model versions by evidence."""


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 the input is wrong, 130 stopped."""
    _listen_to_signals()
    try:
        app()
    except WeirError as error:
        complain(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _listen_to_signals() -> None:
    # A shell starts background jobs with SIGINT ignored; who sends it all the same wants an end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored by nohup, on purpose
        signal.signal(signal.SIGHUP, _stop)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
