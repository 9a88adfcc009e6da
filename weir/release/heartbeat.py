"""A holder that shows other hosts that it works, whatever its main thread waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from weir.document import EndpointDocument
from weir.errors import EndpointBusy, WeirError
from weir.ports import Platform
from weir.release.ledger import Hold

BEAT_SECONDS = 30.0
"""Three may be missed: see ``holding.HEARTBEAT_LIFE``."""

LAST_BEAT_SECONDS = 5.0
"""How long the end of the block waits for a beat that is under way."""

THREAD = "weir-heartbeat"


@contextmanager
def beating(
    platform: Platform, hold: Hold, *, every_seconds: float = BEAT_SECONDS
) -> Iterator[None]:
    """While the block lasts, the holder of a release or a removal stays alive to every host.

    Whoever takes the hold just now has written its first heartbeat, so the first beat comes
    ``every_seconds`` later. When the hold is lost or what it was of has ended, there is no beat any
    more; the main thread finds out by itself.
    """
    over = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(platform, hold, over, every_seconds), name=THREAD, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LAST_BEAT_SECONDS)


def _beat(platform: Platform, hold: Hold, over: threading.Event, every_seconds: float) -> None:
    def alive(document: EndpointDocument) -> EndpointDocument:
        # A beat that a slow store held up until after the block changes nothing any more.
        return document if over.is_set() else hold.alive(document, platform.clock.now())

    while not over.wait(every_seconds):
        try:
            hold.update(alive)
        except EndpointBusy:
            return
        except WeirError as error:
            if error.reason == "endpoint.unknown":
                return
            # The store may be back at the next beat; what will not pass stops the main thread.
