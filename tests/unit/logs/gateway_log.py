"""The logs of a gateway, as a test wants them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.fakes.telemetry import Request


class Gateway:
    """A gateway's folder with the logs that a test wants."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "endpoints" / "fraud" / "gateway"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.live = self.folder / "access.log"

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()

    def log(self, requests: Sequence[Request], tail: str = "") -> None:
        with self.live.open("a") as stream:
            stream.write("".join(one.line() for one in requests) + tail)

    def rotate(self, instant: datetime) -> None:
        self.live.rename(self.folder / f"access-{instant:%Y%m%dT%H%M%S%f}.log")
