"""Errors, named for what the caller does next.

Every error says in one sentence what is wrong, where, and what to do now, and carries a
stable reason code (``area.what``) that scripts and alerts may match on.
"""

from __future__ import annotations


class WeirError(Exception):
    """Base of every foreseeable error.

    ``reason`` is a stable code, ``message`` one sentence, ``where`` the file, field or object,
    and ``remedy`` what to do now. ``exit_status`` is what the command line ends with.
    """

    exit_status = 1

    def __init__(self, reason: str, message: str, *, remedy: str, where: str = "") -> None:
        super().__init__(reason, message, remedy, where)
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.where = where

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.message, self.remedy, self.where)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.message} [{self.reason}] {self.remedy}".rstrip()


def _rebuild(
    kind: type[WeirError], reason: str, message: str, remedy: str, where: str
) -> WeirError:
    return kind(reason, message, remedy=remedy, where=where)


class UserError(WeirError):
    """The input is wrong: correct it and run again. Nothing was touched."""

    exit_status = 2


class PermanentError(WeirError):
    """Trying again will not help until somebody acts on the remedy."""


class PlatformMissing(PermanentError):
    """What the platform stands on is not there yet, and ``Clusters.ensure`` would make it."""


class TemporaryError(WeirError):
    """The same call may succeed after ``retry_after_seconds``."""

    retry_after_seconds = 1.0


class StateConflict(TemporaryError):
    """Somebody else wrote the endpoint's document since it was read: read again, then decide."""


class EndpointBusy(PermanentError):
    """Another release holds the endpoint, and its process is alive."""


class TelemetryUnavailable(TemporaryError):
    """Telemetry could not be read. Evidence stays as it was; the verdict is ``error``."""


class VersionUnhealthy(PermanentError):
    """A version did not become ready or failed its check. The control was not touched."""
