"""Going back to the version that was the control before, without a release under way."""

from __future__ import annotations

from weir.document import HISTORY_LENGTH, EndpointDocument, Outcome, PastRelease
from weir.endpoint import Split
from weir.errors import PermanentError
from weir.holding import this_process
from weir.ports import Platform
from weir.release import transitions
from weir.release.beginning import catch_up, refuse_if_held
from weir.release.ledger import contended
from weir.release.operator import read, require_ready, write
from weir.rollout import Reason

_ID = "back-"


def return_to_previous(
    platform: Platform, name: str, by: str, *, whatever_came_last: bool = False
) -> PastRelease:
    """The version kept from before the last promotion becomes the control again.

    Only while that promotion is the newest thing that happened: typed twice it does not swing
    back, and a release that ended by itself leaves nothing to go back from. ``whatever_came_last``
    goes back all the same. Running it again after a failure or a kill ends what it began. Raises
    PermanentError ``rollback.nothing_to_return_to``, ``rollback.already_back`` or
    ``rollback.nothing_was_promoted``, TemporaryError ``version.not_ready``.
    """
    document = read(platform, name)
    refuse_if_held(platform, document, this_process("", platform.clock.now()))
    last = document.history[-1] if document.history else None
    if last is not None and last.id.startswith(_ID) and document.split_applied_at is None:
        catch_up(platform, document)
        return last
    previous, control = document.previous, document.endpoint.control
    if last is not None and last.outcome is not Outcome.PROMOTED and not whatever_came_last:
        raise _nothing_to_undo(document, last)
    if previous is None or control is None:
        raise PermanentError(
            "rollback.nothing_to_return_to",
            "no release is under way, and no earlier version is kept.",
            remedy="Release the version that you want: weir release FILE.",
            where=f"endpoint {name}",
        )
    require_ready(platform, name, previous)
    platform.traffic.reclaim(name)
    past = _as_history(
        platform, document, control, f"{previous} is the control again, on the word of {by}"
    )

    def back(document: EndpointDocument) -> EndpointDocument:
        if document.release is not None or document.endpoint.control != control:
            raise contended(name)
        swapped = document.changed(
            endpoint=document.endpoint.with_control(previous),
            previous=control,
            history=(*document.history, past)[-HISTORY_LENGTH:],
        )
        return transitions.intended(swapped, Split.everything_to(previous))

    catch_up(platform, write(platform, name, back))
    return past


def _as_history(
    platform: Platform, document: EndpointDocument, control: str, words: str
) -> PastRelease:
    now = platform.clock.now()
    present = document.endpoint.version(control)
    return PastRelease(
        id=f"{_ID}{document.revision}",
        version=control,
        digest=present.release if present else "",
        outcome=Outcome.ROLLED_BACK,
        reason=Reason.OPERATOR,
        words=words,
        started_at=now,
        ended_at=now,
    )


def _nothing_to_undo(document: EndpointDocument, last: PastRelease) -> PermanentError:
    name, control = document.endpoint.name, document.endpoint.control
    if last.outcome is Outcome.ROLLED_BACK:
        reason = "rollback.already_back"
        happened = f"{last.version} was rolled back at {last.ended_at:%H:%M:%S} UTC"
    else:
        reason = "rollback.nothing_was_promoted"
        happened = f"the release of {last.version} ended as {last.outcome}, without any traffic"
    return PermanentError(
        reason,
        f"{happened}, and nothing was released since; {control} is the control.",
        remedy=f"If {document.previous} is to be the control: weir rollback {name} --to-previous."
        if document.previous
        else "There is no earlier version to return to.",
        where=f"endpoint {name}",
    )
