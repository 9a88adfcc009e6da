"""Processes that simulate, one for every core, and a line that tells how far they are."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from weir.backtest.characteristics import Mapped
from weir.backtest.rehearsal import Ending, Piece
from weir.cli.output import err
from weir.errors import PermanentError

MOST_PROCESSES = 8


@contextmanager
def processes(rollouts: int) -> Iterator[Mapped]:
    """A ``map`` over a process for every core, with a line of progress on stderr."""
    progress = Progress(
        TextColumn("simulating rollouts"),
        BarColumn(),
        MofNCompleteColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    # Not forked: the progress line has a thread, and no lock of its may be copied.
    pool = ProcessPoolExecutor(
        min(os.cpu_count() or 1, MOST_PROCESSES),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_leave_signals_to_the_parent,
    )
    with progress:
        task = progress.add_task("", total=rollouts)

        def mapped(
            work: Callable[[Piece], Sequence[Ending]], pieces: Sequence[Piece]
        ) -> Iterator[Sequence[Ending]]:
            for endings in pool.map(work, pieces):
                progress.advance(task, len(endings))
                yield endings

        try:
            yield mapped
        except BrokenProcessPool as error:
            raise PermanentError(
                "backtest.process_died",
                "a process that simulated was killed from outside.",
                remedy="Run again; with less memory in use if the system ran out of it.",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_signals_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
