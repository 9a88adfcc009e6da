"""What a command waits for, before the eyes of whoever waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from weir.cli.output import WAITING_EVERY_SECONDS, err, escape, out
from weir.ports import Say


@contextmanager
def told_what_is_awaited() -> Iterator[Say]:
    """Gives what is to be told. In a terminal the newest words stand on one line; elsewhere they
    are a line every WAITING_EVERY_SECONDS. Whoever interrupts reads the last of them on stderr."""
    last = ""
    printed_at = float("-inf")
    with out.status("") as status:

        def say(words: str) -> None:
            nonlocal last, printed_at
            last = words
            if out.is_terminal:
                status.update(escape(words))
            elif time.monotonic() - printed_at >= WAITING_EVERY_SECONDS:
                printed_at = time.monotonic()
                out.print(escape(words))

        try:
            yield say
        except KeyboardInterrupt:
            status.stop()
            if last:
                err.print(escape(f"stopped: {last}"))
            raise
