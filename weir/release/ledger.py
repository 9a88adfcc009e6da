"""The endpoint's document in the hands of who works on it: read, change, write, fenced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime

from weir.document import EndpointDocument, Holder, Release
from weir.errors import EndpointBusy, StateConflict, UserError
from weir.holding import same_process
from weir.ports import Platform, State
from weir.release import transitions

Change = Callable[[EndpointDocument], EndpointDocument]
ATTEMPTS = 20


class Hold(ABC):
    """Changes of one endpoint's document by one holder, for as long as he has it in hand.

    Every write is a compare-and-swap. When somebody else wrote in between, the change is made
    anew on what they wrote, but only while the hold still is this holder's.
    """

    def __init__(self, state: State, endpoint: str, holder: Holder) -> None:
        self._state = state
        self.endpoint = endpoint
        self.holder = holder

    def read(self, *, fresh: bool = False) -> EndpointDocument:
        """The document now, for ``fresh`` see State. Raises UserError ``endpoint.unknown``."""
        document = self._state.read(self.endpoint, fresh=fresh)
        if document is None:
            raise unknown_endpoint(self.endpoint, self._state.endpoints())
        return document

    def update(self, change: Change) -> EndpointDocument:
        """Write ``change`` of the newest document. Raises EndpointBusy when the hold is lost."""
        for _ in range(ATTEMPTS):
            document = self.read()
            self.require(document)
            changed = change(document)
            if changed == document:
                return document
            try:
                return self._state.write(changed)
            except StateConflict:
                continue
        raise contended(self.endpoint)

    @abstractmethod
    def require(self, document: EndpointDocument) -> None:
        """Raise EndpointBusy unless this holder has the endpoint of ``document`` in hand."""

    @abstractmethod
    def alive(self, document: EndpointDocument, now: datetime) -> EndpointDocument:
        """``document`` with this holder's heartbeat at ``now``."""


class Ledger(Hold):
    """A release in the hands of its holder."""

    def release(self, *, fresh: bool = False) -> Release:
        """The release under way, which has to be this holder's."""
        return self._held(self.read(fresh=fresh))

    def require(self, document: EndpointDocument) -> None:
        self._held(document)

    def alive(self, document: EndpointDocument, now: datetime) -> EndpointDocument:
        return transitions.alive(document, now)

    def _held(self, document: EndpointDocument) -> Release:
        release = document.release
        holder = None if release is None else release.holder
        if release is None or holder is None or not same_process(holder, self.holder):
            by = f"by {holder}" if holder else "already"
            raise EndpointBusy(
                "release.hold_lost",
                f"the release was taken over or ended {by}.",
                remedy=f"See how it stands: weir status {self.endpoint}.",
                where=f"endpoint {self.endpoint}",
            )
        return release


class RemovalHold(Hold):
    """The removal of an endpoint, or of one version of it, in the hands of its holder."""

    def newest(self) -> EndpointDocument:
        """The newest document, of which this holder still removes something."""
        document = self.read(fresh=True)
        self.require(document)
        return document

    def require(self, document: EndpointDocument) -> None:
        removal = document.removal
        if removal is None or not same_process(removal.holder, self.holder):
            by = f"by {removal.holder}" if removal else "already"
            raise EndpointBusy(
                "removal.hold_lost",
                f"the removal was taken over or ended {by}.",
                remedy=f"See how it stands: weir status {self.endpoint}.",
                where=f"endpoint {self.endpoint}",
            )

    def alive(self, document: EndpointDocument, now: datetime) -> EndpointDocument:
        return transitions.still_removing(document, now)


def living_holder(platform: Platform, document: EndpointDocument) -> Holder | None:
    """Who releases to the endpoint or removes something of it, if that process still works."""
    holders = (
        document.removal.holder if document.removal else None,
        document.release.holder if document.release else None,
    )
    now = platform.clock.now()
    return next((one for one in holders if one and platform.state.is_alive(one, now)), None)


def contended(endpoint: str) -> StateConflict:
    """The error after ATTEMPTS writes that all came second."""
    return StateConflict(
        "state.contended",
        "somebody else keeps changing its state.",
        remedy="Run the command again.",
        where=f"endpoint {endpoint}",
    )


def unknown_endpoint(name: str, known: tuple[str, ...]) -> UserError:
    there = f"there is {', '.join(known)}" if known else "there is none yet"
    return UserError(
        "endpoint.unknown",
        f"there is no such endpoint; {there}.",
        remedy="weir status lists the endpoints.",
        where=f"endpoint {name}",
    )
