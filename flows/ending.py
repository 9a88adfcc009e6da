"""How a run ends: with an outcome, held for a person, interrupted, or cancelled."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Failed

from blocks import LOCAL, open_platform
from tasks.holding import opened
from tasks.narration import tell
from weir.document import Outcome, PastRelease
from weir.errors import EndpointBusy, PermanentError, WeirError
from weir.ports import ModelVersion
from weir.release import operator, steps
from weir.release.documents import readable


@contextmanager
def letting_go(endpoint: str, platform: str) -> Iterator[None]:
    """Whatever interrupts the run, all traffic is on the control and the endpoint is free again.

    A second signal does not interrupt that. Only a process that dies without notice leaves the
    split as it was; the next run goes on.
    """
    try:
        yield
    except BaseException:
        with uninterrupted():
            _stand_back(endpoint, platform)
        raise


def _stand_back(endpoint: str, platform: str) -> None:
    chosen, ledger = opened(endpoint, platform)
    try:
        split = steps.stand_back(chosen, ledger)
    except EndpointBusy as error:
        tell(f"interrupted: {error.message}")
    except WeirError as error:
        tell(f"interrupted: {endpoint} could not be put back: {error}")
    else:
        at = f"{endpoint} is left at {split}" if split else f"{endpoint} takes no traffic yet"
        where = "" if platform == LOCAL else f" --platform {platform}"
        tell(f"interrupted: {at}; go on with weir resume {endpoint}{where}, or release it again")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that would end the process are put off until the block is through.

    Only the main thread can do that; Prefect runs a flow there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def has_no_outcome(endpoint: str, platform: str) -> bool:
    """False when the release was decided before the run began, and only its end is missing."""
    _, ledger = opened(endpoint, platform)
    return ledger.release().ending is None


def give_up(endpoint: str, platform: str, error: WeirError) -> None:
    """A release that cannot go on fails; the control keeps the traffic.

    Raises EndpointBusy again: then it is somebody else's release by now.
    """
    if isinstance(error, EndpointBusy):
        raise error
    _, ledger = opened(endpoint, platform)
    steps.give_up(ledger, error.reason, str(error))
    # The whole story, often with the last lines of a log, is the run's last word.
    tell(f"cannot be released [{error.reason}]; callers are not affected")


def timed_out(error: TimeoutError) -> PermanentError:
    """A task's time limit, in weir's words."""
    return PermanentError(
        "release.step_timed_out",
        f"a step took longer than it may: {error}.",
        remedy="See weir logs and the platform, then release again.",
    )


def is_deployed_only(endpoint: str, platform: str) -> bool:
    """Whether the release ends here, with its version at 0 %."""
    _, ledger = opened(endpoint, platform)
    release = ledger.release()
    if release.deploy_only and release.ending is None:
        steps.leave_deployed(ledger)
    ending = ledger.release().ending
    return ending is not None and ending.outcome is Outcome.DEPLOYED


def is_held(endpoint: str, platform: str) -> bool:
    """Whether the rollout ended without an outcome, for a person to decide."""
    _, ledger = opened(endpoint, platform)
    return ledger.release().ending is None


def hold(endpoint: str, platform: str) -> State[Any]:
    """All traffic back on the control; the evidence is kept for whoever goes on."""
    chosen, ledger = opened(endpoint, platform)
    release = ledger.release()
    split = steps.stand_back(chosen, ledger)
    words = (
        f"{release.version} is held: its evidence was not enough by the deadline;"
        f" {endpoint} is at {split}. weir resume, weir promote or weir rollback {endpoint}"
    )
    tell(words, state=HELD)
    return Failed(name=HELD, message=words)


def conclude(endpoint: str, platform: str) -> State[Any]:
    """The release is history; the run's state tells its outcome."""
    chosen, ledger = opened(endpoint, platform)
    past = steps.finish(chosen, ledger).history[-1]
    tell(sentence(past), outcome=past.outcome, state=STATE_NAMES[past.outcome])
    return state_of(past)


def nothing_to_do(endpoint: str, past: PastRelease) -> State[Any]:
    """The same content has ended here before, and that end stands."""
    words = f"nothing to do on {endpoint}: {sentence(past)}"
    tell(words, outcome=past.outcome, state=STATE_NAMES[past.outcome])
    return state_of(past)


def superseded(endpoint: str, by: ModelVersion) -> State[Any]:
    """The run waited for its endpoint, and what it was to release is not the newest any more."""
    words = f"{by.name} {by.version} was registered meanwhile; {endpoint} is left to its release"
    tell(words, state=SUPERSEDED)
    return Completed(name=SUPERSEDED, message=words)


def foreseen(error: WeirError) -> State[Any]:
    """The run fails with one line in its log instead of a traceback.

    Whoever asks for its result gets the error itself.
    """
    return Failed(message=str(error), data=error)


HELD = "Held"
SUPERSEDED = "Superseded"
STATE_NAMES = {
    Outcome.PROMOTED: "Promoted",
    Outcome.DEPLOYED: "Deployed",
    Outcome.ROLLED_BACK: "RolledBack",
    Outcome.FAILED: "NotReleased",
}


def state_of(past: PastRelease) -> State[Any]:
    """Completed when the version was promoted, or deployed as asked; else Failed."""
    make = Completed if past.outcome in (Outcome.PROMOTED, Outcome.DEPLOYED) else Failed
    return make(name=STATE_NAMES[past.outcome], message=sentence(past))


def sentence(past: PastRelease) -> str:
    return f"{past.version} {past.outcome.value.replace('_', ' ')}: {past.words}"


def return_to_control(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 Prefect passes these by name
    """Cancelled in Prefect: the treatment is rolled back at once, whoever held the endpoint."""
    platform = open_platform(str((flow_run.parameters or {}).get("platform") or "local"))
    for document in readable(platform, tell):
        release = document.release
        if release and release.run == str(flow_run.id):
            name = document.endpoint.name
            operator.roll_back_now(platform, name, by="Prefect, which cancelled the run")
