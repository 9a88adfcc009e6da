"""Blobs of Azure Storage by addresses that carry their own permission: one sent, one read on."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import IO, Any

from weir.azure.asking import Answer, Asking
from weir.azure.refusals import AzureRefused
from weir.errors import TemporaryError
from weir.ports import Say

BLOCK_BYTES = 8 << 20
"""Of an upload. A blob has 50,000 blocks at most."""

PIECE_BYTES = 1 << 20
"""Of a log, with one request."""

_NOT_YET = (404, 416)
_EXPIRED = 403
_COMPLETE = "x-ms-meta-complete"


def upload(
    asking: Asking, address: str, stream: IO[bytes], size: int, say: Say, where: str
) -> None:
    """Put ``size`` bytes of ``stream`` there, a block at a time. May be repeated from the start."""
    names: list[str] = []
    sent = told = 0
    while piece := stream.read(BLOCK_BYTES):
        name = base64.b64encode(f"{len(names):08d}".encode()).decode()
        _put(asking, address, {"comp": "block", "blockid": name}, piece, where)
        names.append(name)
        sent += len(piece)
        if 10 * sent // size > told:
            told = 10 * sent // size
            say(f"sent {10 * told} % of the build context, {_amount(size)}")
    listed = "".join(f"<Latest>{name}</Latest>" for name in names)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
    _put(asking, address, {"comp": "blocklist"}, body.encode(), where)


class GrowingText:
    """Lines of a blob that is still being written. ``address`` gives a fresh one each time."""

    def __init__(self, asking: Asking, address: Callable[[], str], where: str) -> None:
        self._asking, self._fresh, self._where = asking, address, where
        self._address = ""
        self._read = 0
        self._begun = b""

    def lines(self, *, is_whole: bool = False) -> Iterator[str]:
        """Those that came since the last time; with ``is_whole`` one that has no end, too.

        Raises what ``Asking.call`` raises, but for a blob that is not there yet.
        """
        while piece := self._piece():
            self._read += len(piece)
            *whole, self._begun = (self._begun + piece).split(b"\n")
            yield from map(_decoded, whole)
            if len(piece) < PIECE_BYTES:
                break
        if is_whole and self._begun:
            last, self._begun = self._begun, b""
            yield _decoded(last)

    def is_complete(self) -> bool:
        """Whether nothing comes any more: its writer marks the blob then. Raises as ``lines``."""
        answer = self._ask("HEAD")
        return answer is not None and _COMPLETE in answer.headers

    def _piece(self) -> bytes:
        asked = {"Range": f"bytes={self._read}-{self._read + PIECE_BYTES - 1}"}
        answer = self._ask("GET", headers=asked)
        if answer is None:
            return b""
        is_part = answer.status == 206
        return answer.body if is_part else answer.body[self._read : self._read + PIECE_BYTES]

    def _ask(self, method: str, **sent: Any) -> Answer | None:
        """None where there is nothing, or nothing more yet. A link that has run out is renewed."""
        may_renew = bool(self._address)
        while True:
            self._address = self._address or self._fresh()
            try:
                return self._asking.call(
                    method, self._address, "read the build's log", where=self._where, **sent
                )
            except AzureRefused as refused:
                if refused.status in _NOT_YET:
                    return None
                if refused.status != _EXPIRED or not may_renew:
                    raise
            may_renew, self._address = False, ""


def _put(asking: Asking, address: str, params: dict[str, str], body: bytes, where: str) -> None:
    try:
        asking.call(
            "PUT", address, "upload the build context", where=where, params=params, data=body
        )
    except AzureRefused as refused:
        if refused.status != _EXPIRED:
            raise
        # No role is missing: the address carries its own permission.
        raise TemporaryError(
            "azure.upload_refused",
            f"the storage that takes build contexts refused this one: {refused.code or 403}.",
            remedy="Its permission holds for an hour or so: send less, or from nearer. See that"
            " this machine's clock is right, and that no network rule keeps it out; run again.",
            where=where,
        ) from None


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def _decoded(line: bytes) -> str:
    return line.decode(errors="replace").rstrip()
