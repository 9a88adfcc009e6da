"""What keeps images from being pulled."""

from __future__ import annotations

import re
from collections.abc import Iterator

from weir.kubernetes.findings import Finding, because
from weir.kubernetes.objects import GUARD, Container, PodSeen, said, text

OTHER_ARCHITECTURE = re.compile(r"no match(ing manifest)? for (platform|linux)|exec format error")
PASSING = re.compile(
    r"time-?out|timed out|deadline exceeded|connection (refused|reset)|too ?many ?requests|"
    r"QPS exceeded|unavailable|\bEOF\b|temporary|is reserved for|"
    r"\b50[0234] (internal|bad|service|gateway)",
    re.I,
)

OTHER_NODES = (
    "Build the image for the architecture of the nodes, or choose other nodes with node_selector"
    " of the platform block."
)

_PULLING = {
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
    "ImageInspectError",
}
_BARE_BACK_OFF = re.compile(r'Back-off pulling image "[^"]*"\.?')
_REFUSED = re.compile(
    r"unauthori[sz]ed|denied|forbidden|authentication required|authorization", re.I
)
_NOT_THERE = re.compile(r"not ?found|(manifest|name)[ _]unknown|does not exist", re.I)


def image_findings(seen: PodSeen) -> Iterator[Finding]:
    for container in seen.containers:
        if container.waiting not in _PULLING:
            continue
        message = _pull_message(seen, container)
        cause = message.replace(container.image, "") if container.image else message
        yield Finding(
            "workload.image_pull",
            f"the image {said(container.image) or '(no name)'} of {seen.words_of(container)} cannot"
            f" be pulled{because(said(message) or container.waiting)}",
            _pull_remedy(container, cause),
            final=_is_pull_hopeless(container.waiting, cause),
        )


def _pull_message(seen: PodSeen, container: Container) -> str:
    """Older kubelets say the cause of a back-off in an event only."""
    message = text(container.status, "state", "waiting", "message")
    if message and not _BARE_BACK_OFF.fullmatch(message.strip()):
        return message
    causes = (
        text(each, "message")
        for each in seen.reported("Failed")
        if text(each, "message").startswith("Failed to pull image")
        and container.image in text(each, "message")
    )
    return next(causes, message)


def _is_pull_hopeless(waiting: str, cause: str) -> bool:
    if waiting in ("InvalidImageName", "ErrImageNeverPull"):
        return True
    if OTHER_ARCHITECTURE.search(cause) or _REFUSED.search(cause) or _NOT_THERE.search(cause):
        return True
    return waiting == "ImagePullBackOff" and not PASSING.search(cause)


def _pull_remedy(container: Container, cause: str) -> str:
    of_guard = container.name == GUARD
    field = "guard_image of the platform block"
    if container.waiting == "InvalidImageName":
        return f"Correct {field}." if of_guard else "Correct inference.image in the release file."
    if OTHER_ARCHITECTURE.search(cause):
        return OTHER_NODES
    if _REFUSED.search(cause):
        return (
            "Let the cluster pull from that registry: attach the registry to the cluster, or name a"
            " Secret with its credentials as image_pull_secret of the platform block."
        )
    if container.waiting == "ErrImageNeverPull" or _NOT_THERE.search(cause):
        field = field if of_guard else "inference.image in the release file"
        return f"Correct {field}, or push that image, then release again."
    return "Check the registry's name and that the nodes can reach it; the pull is tried again."
