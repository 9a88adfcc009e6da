"""The outward steps of a release. Each is idempotent and can be run again after a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from weir.document import Ending, EndpointDocument, Outcome, Phase
from weir.endpoint import Endpoint, Split
from weir.errors import (
    EndpointBusy,
    PermanentError,
    StateConflict,
    UserError,
    VersionUnhealthy,
)
from weir.ports import BuildContext, CheckReport, Image, Models, Platform, Say, unsaid
from weir.readiness import await_idle, wait_until_ready
from weir.release import transitions
from weir.release.housekeeping import forget_unused_images
from weir.release.ledger import Change, Ledger
from weir.release.reading import has_its_model_inside
from weir.rollout import Reason, begin
from weir.spec.files import files_of
from weir.spec.release import ReleaseSpec

FIRST_VERSION = "first_version"
DEPLOYED_ONLY = "deployed_only"


def provision(platform: Platform, ledger: Ledger, say: Say = unsaid) -> EndpointDocument:
    """The cluster is there, and the endpoint's gateway listens.

    ``say`` is told what is being waited for.
    """
    ledger.update(lambda document: transitions.reached(document, Phase.PROVISION))
    platform.clusters.ensure(say)
    endpoint = platform.traffic.ensure(ledger.read().endpoint)
    return ledger.update(
        lambda document: transitions.with_gateway(
            document, document.endpoint.model_copy(update={"port": endpoint.port})
        )
    )


def build_context(models: Models, spec: ReleaseSpec, directory: Path) -> BuildContext:
    """Absolute paths of what the release ships. Raises UserError ``model.unknown``."""
    files = files_of(spec, directory)
    model_path = files.model
    if model_path is None and not has_its_model_inside(spec):
        model_path = models.get(spec.model.name, spec.model.version).path
    return BuildContext(
        model_path=model_path,
        source_directory=files.source_directory,
        requirements=files.requirements,
        inference=spec.inference,
        conda_file=files.conda_file,
        extra_dockerfile_steps=files.extra_dockerfile_steps,
        name=spec.model.name,
    )


def heed(ledger: Ledger) -> None:
    """Raise PermanentError ``operator`` when a person has asked for an end before the rollout."""
    back = ledger.release().asked_back
    if back is not None:
        raise PermanentError(
            Reason.OPERATOR,
            f"ended before its rollout, on the word of {back.by}.",
            remedy="Release it again when you want it.",
            where=f"endpoint {ledger.endpoint}",
        )


def build(platform: Platform, ledger: Ledger, say: Say = unsaid) -> Image:
    """The image exists, by content: unchanged content is not built again.

    A rollout that is taken over keeps the image that its evidence is about, whatever has become of
    the files since. Versions of releases that gave way go first: they may be one too many.
    """
    heed(ledger)
    ledger.update(lambda document: transitions.reached(document, Phase.BUILD))
    remove_retiring(platform, ledger)
    document, release = ledger.read(), ledger.release()
    present = document.endpoint.version(release.version)
    if release.rollout is not None and present is not None:
        return Image(present.image, built=False)
    context = build_context(platform.models, release.spec, Path(release.directory))
    image = platform.images.build(context, say)
    ledger.update(lambda document: transitions.with_version(document, image.digest))
    return image


def deploy(platform: Platform, ledger: Ledger) -> None:
    """The version's replicas are wanted, at 0 % of the traffic; they may not be ready yet."""
    heed(ledger)
    document = ledger.update(lambda document: transitions.reached(document, Phase.DEPLOY))
    release = ledger.release()
    version = document.endpoint.version(release.version)
    if version is None:
        raise UserError(
            "release.not_built",
            f"version {release.version} has no image yet.",
            remedy="Release its file again; it is built first.",
        )
    platform.workloads.apply(document.endpoint.name, version)


def await_ready(
    platform: Platform, ledger: Ledger, say: Callable[[str], object] = lambda _: None
) -> int:
    """Every replica is ready, and the gateway knows the version. Returns their number.

    ``say`` is told what is being waited for.

    Raises VersionUnhealthy with the last log lines when they will not become ready.
    """
    document = ledger.read()
    release = ledger.release()
    status = wait_until_ready(
        platform.workloads,
        document.endpoint.name,
        release.version,
        timeout_seconds=release.spec.deployment.ready_timeout_seconds,
        clock=platform.clock,
        say=say,
    )
    _apply(platform, ledger, ledger.read().endpoint)
    return status.ready()


def check(platform: Platform, ledger: Ledger) -> CheckReport:
    """The sample inputs score on the version alone.

    Raises VersionUnhealthy ``check.failed``, ``check.slow``, or ``check.unreachable`` when it is
    the way to the gateway that fails, and nothing was learnt of the version.
    """
    heed(ledger)
    document = ledger.update(lambda document: transitions.reached(document, Phase.CHECK))
    release = ledger.release()
    wanted = release.spec.check
    if wanted.samples is None:
        return CheckReport(samples=0)
    samples = Path(release.directory) / wanted.samples
    report = platform.scorer.score(document.endpoint, release.version, samples)
    if report.failed > wanted.maximum_failures:
        if report.unanswered == report.samples:
            why = report.first_failure.removeprefix("no answer").lstrip()
            raise VersionUnhealthy(
                "check.unreachable",
                f"none of {report.samples} samples got an answer {why}.",
                remedy="See that the gateway's address can be reached from where weir runs (an"
                " internal load balancer, a firewall, the name of host_suffix), or leave"
                " check.samples out; then release again.",
                where=f"version {release.version}",
            )
        raise VersionUnhealthy(
            "check.failed",
            f"{report.failed} of {report.samples} samples failed, {wanted.maximum_failures} may;"
            f" the first answer was {report.first_failure}",
            remedy="Correct the entry script or the samples, then release again.",
            where=f"version {release.version}",
        )
    limit = wanted.maximum_latency_ms
    if limit is not None and report.slowest_ms > limit:
        raise VersionUnhealthy(
            "check.slow",
            f"the slowest sample took {report.slowest_ms:.0f} ms, {limit:g} ms are allowed.",
            remedy="Make the model faster or raise check.maximum_latency_ms.",
            where=f"version {release.version}",
        )
    return report


def start_rollout(platform: Platform, ledger: Ledger) -> EndpointDocument:
    """The rollout's state exists; a first version takes everything at once.

    Unless a person has asked for an end before it.
    """
    document = ledger.update(
        lambda document: transitions.withdrawn(transitions.reached(document, Phase.ROLLOUT))
    )
    release = ledger.release()
    if release.ending is not None or release.rollout is not None:
        return document
    control = document.endpoint.control
    if control is None:
        words = (
            f"{release.version} is the first version of {document.endpoint.name}; there is no"
            " control to compare it with"
        )
        return ledger.update(
            lambda document: _unless_withdrawn(
                document, lambda d: transitions.promoted(d, FIRST_VERSION, words)
            )
        )
    state = begin(release.spec.rollout, control, release.version, platform.clock.now())
    return ledger.update(lambda document: transitions.with_rollout(document, state))


def apply_split(platform: Platform, ledger: Ledger) -> EndpointDocument:
    """The gateway follows the document's split, and has acknowledged it."""
    document = ledger.read()
    if document.endpoint.split is None:
        return document
    if document.split_applied_at is not None and is_effective(platform, document):
        return document
    at = _apply(platform, ledger, document.endpoint)
    return ledger.update(lambda document: transitions.acknowledged(document, at))


def _apply(platform: Platform, ledger: Ledger, endpoint: Endpoint) -> datetime:
    """Apply ``endpoint`` at the gateway, in the name of the release's holder."""
    return _put(platform, ledger, platform.traffic.apply, endpoint)


def _put(
    platform: Platform,
    ledger: Ledger,
    put: Callable[[Endpoint, int], datetime],
    endpoint: Endpoint,
) -> datetime:
    """Have the gateway follow ``endpoint`` by ``put``.

    A process that was taken over while it slept may come here with a split of the past. It finds
    out right after, and puts the gateway where the newest document wants it.
    """
    try:
        at = put(endpoint, ledger.read().revision)
    except StateConflict:
        ledger.release(fresh=True)
        raise
    try:
        ledger.release()
    except EndpointBusy:
        newest = ledger.read(fresh=True)
        if newest.endpoint.split is not None:
            platform.traffic.apply(newest.endpoint, newest.revision)
        raise
    return at


def is_effective(platform: Platform, document: EndpointDocument) -> bool:
    """Whether the gateway follows the document's split, as the gateway itself tells it."""
    actual, wanted = platform.traffic.split(document.endpoint.name), document.endpoint.split
    return actual is not None and wanted is not None and str(actual) == str(wanted)


def retire(platform: Platform, ledger: Ledger) -> tuple[str, ...]:
    """Versions that are not needed any more are drained and gone. Returns their names."""
    if not ledger.read().retiring:
        return ()
    ledger.update(lambda document: transitions.reached(document, Phase.RETIRE))
    return remove_retiring(platform, ledger)


def remove_retiring(platform: Platform, ledger: Ledger) -> tuple[str, ...]:
    """What is retiring is drained and gone. Returns the names.

    The gateway sends nobody to a version before that goes, and forgets it last: what it has in its
    hands for it is answered.
    """
    document = ledger.read()
    gone = document.retiring
    for name in gone:
        trimmed = document.endpoint.without_version(name)
        _put(platform, ledger, platform.traffic.withdraw, trimmed)
        await_idle(platform, document.endpoint, name)
        platform.workloads.remove(document.endpoint.name, name)
        _apply(platform, ledger, trimmed)
        document = ledger.update(partial(transitions.without_version, name=name))
    return gone


def finish(platform: Platform, ledger: Ledger) -> EndpointDocument:
    """The release is history, with its outcome and reason."""
    flush_window(platform, ledger)
    now = platform.clock.now()
    document = ledger.update(lambda document: transitions.ended(document, now))
    forget_unused_images(platform)
    return document


def flush_window(platform: Platform, ledger: Ledger) -> None:
    """The last observed window stands in the window record."""
    release = ledger.release()
    if release.last_window is not None:
        platform.windows.append(ledger.endpoint, release.id, release.last_window)


def give_up(ledger: Ledger, reason: str, words: str) -> EndpointDocument:
    """The release cannot go on: its version goes, the control has or gets all traffic."""
    begun = ledger.release().rollout is not None
    ending = Ending(
        outcome=Outcome.ROLLED_BACK if begun else Outcome.FAILED, reason=reason, words=words
    )
    return ledger.update(lambda document: transitions.ended_as(document, ending))


def leave_deployed(ledger: Ledger) -> EndpointDocument:
    """The release ends after its check: the version runs at 0 %, reachable by its header."""
    ending = Ending(
        outcome=Outcome.DEPLOYED,
        reason=DEPLOYED_ONLY,
        words="runs at 0 % of the traffic, as asked; the header x-weir-version reaches it",
    )
    return ledger.update(
        lambda document: _unless_withdrawn(document, lambda d: transitions.ended_as(d, ending))
    )


def _unless_withdrawn(document: EndpointDocument, change: Change) -> EndpointDocument:
    """``document`` changed, but ended where a person has asked for that in the meantime."""
    ended = transitions.withdrawn(document)
    return change(document) if ended is document else ended


def stand_back(platform: Platform, ledger: Ledger) -> Split | None:
    """Put all traffic back on the control and let go of the release, to be gone on with later.

    What was decided already is made effective instead. Returns the split that the gateway follows
    now. The rollout's evidence stays as it is. Where the document cannot be written, the gateway
    is set all the same, before the error goes on.
    """
    document = ledger.read()
    release = document.release
    if release is not None and release.ending is None and release.rollout is not None:
        everything = Split.everything_to(release.rollout.control)
        try:
            ledger.update(lambda document: transitions.intended(document, everything))
        except (EndpointBusy, StateConflict):
            raise
        except PermanentError:
            platform.traffic.apply(document.endpoint.with_split(everything), document.revision)
            raise
    apply_split(platform, ledger)
    ledger.update(transitions.left)
    return platform.traffic.split(ledger.endpoint)
