"""Reading objects of a cluster, as its API gives them in JSON. Whatever is missing reads as empty.

An object may be seen half made or by an older server, so nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from weir.spec.text import printable

GUARD = "guard"
"""The container with weir's own Envoy."""

LONGEST_MESSAGE = 300
REVISION = "deployment.kubernetes.io/revision"
_NEVER = datetime.min.replace(tzinfo=UTC)

Object = Mapping[str, Any]


def part(thing: object, *names: str) -> Object:
    """The mapping at the end of ``names``; empty without one."""
    found = _at(thing, names)
    return found if isinstance(found, Mapping) else {}


def parts(thing: object, *names: str) -> tuple[Object, ...]:
    """The mappings in the list at the end of ``names``."""
    found = _at(thing, names)
    is_list = isinstance(found, Sequence) and not isinstance(found, str)
    return tuple(each for each in found if isinstance(each, Mapping)) if is_list else ()


def text(thing: object, *names: str) -> str:
    found = _at(thing, names)
    return found if isinstance(found, str) else ""


def number(thing: object, *names: str) -> int | None:
    found = _at(thing, names)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def instant(thing: object, *names: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text(thing, *names))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def condition(thing: object, kind: str) -> Object:
    found = (each for each in parts(thing, "status", "conditions") if each.get("type") == kind)
    return next(found, {})


def said(message: str) -> str:
    """What the cluster said, on one line, without a final full stop, and not too long."""
    line = printable(" ".join(message.split())).rstrip(" .")
    if len(line) <= LONGEST_MESSAGE:
        return line
    return line[: LONGEST_MESSAGE - 1].rstrip(" .") + "…"


def condition_said(one: Object) -> str:
    """A condition for people."""
    what = f"{text(one, 'type')} {text(one, 'status')} ({text(one, 'reason')})"
    return f"{said(what)} {said(text(one, 'message'))}".strip()


def name_of(thing: object) -> str:
    return said(text(thing, "metadata", "name"))


def is_leaving(pod: Object) -> bool:
    return bool(part(pod, "metadata").get("deletionTimestamp"))


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def is_same(reference: Object, thing: Object) -> bool:
    """Whether ``reference`` (of an owner or an event) means ``thing``; a uid is never reused."""
    theirs, its = text(reference, "uid"), text(thing, "metadata", "uid")
    if theirs and its:
        return theirs == its
    name = text(reference, "name")
    return bool(name) and name == text(thing, "metadata", "name")


def current_replica_sets(deployment: Object, replica_sets: Iterable[Object]) -> tuple[Object, ...]:
    """The ReplicaSet of the Deployment's template; empty when it is not there (yet)."""
    revision = text(deployment, "metadata", "annotations", REVISION)
    return tuple(
        each
        for each in replica_sets
        if revision and text(each, "metadata", "annotations", REVISION) == revision
    )


def is_of_template(pod: Object, deployment: Object, replica_sets: Sequence[Object]) -> bool:
    """Whether ``pod`` was made from the Deployment's present template.

    True without any ReplicaSet: then templates cannot be told apart.
    """
    if not replica_sets:
        return True
    owners = parts(pod, "metadata", "ownerReferences")
    current = current_replica_sets(deployment, replica_sets)
    return any(is_same(owner, each) for owner in owners for each in current)


@dataclass(frozen=True)
class Container:
    """A container of a pod: what was asked for and what became of it."""

    name: str
    spec: Object
    status: Object
    lasts: bool
    """False for an init container that is meant to end; a native sidecar lasts."""

    @property
    def image(self) -> str:
        return text(self.spec, "image") or text(self.status, "image")

    @property
    def waiting(self) -> str:
        """Why it waits; empty when it does not."""
        return text(self.status, "state", "waiting", "reason")

    @property
    def is_running(self) -> bool:
        return isinstance(part(self.status, "state").get("running"), Mapping)

    @property
    def is_ready(self) -> bool:
        return self.status.get("ready") is True

    @property
    def restarts(self) -> int:
        return max(number(self.status, "restartCount") or 0, 0)

    @property
    def end(self) -> Object:
        """How it ended last; empty when it never did, or did what an init container has to."""
        now = part(self.status, "state", "terminated")
        end = now or part(self.status, "lastState", "terminated")
        has_done_its_work = not self.lasts and number(end, "exitCode") == 0
        return {} if has_done_its_work else end

    @property
    def has_begun(self) -> bool:
        return (
            self.is_running or self.restarts > 0 or bool(part(self.status, "state", "terminated"))
        )

    @property
    def has_ended(self) -> bool:
        return bool(self.end) and bool(part(self.status, "state", "terminated"))


def containers_of(pod: Object) -> tuple[Container, ...]:
    """Those whose status is known: init containers and native sidecars first."""
    found = []
    for specs, statuses, always_lasts in (
        ("initContainers", "initContainerStatuses", False),
        ("containers", "containerStatuses", True),
    ):
        by_name = {text(each, "name"): each for each in parts(pod, "spec", specs)}
        for status in parts(pod, "status", statuses):
            spec = by_name.get(text(status, "name"), {})
            lasts = always_lasts or spec.get("restartPolicy") == "Always"
            found.append(Container(text(status, "name"), spec, status, lasts))
    return tuple(found)


def event_at(event: Object) -> datetime:
    """When it happened last; the beginning of time when it does not say."""
    known = (
        instant(event, "series", "lastObservedTime"),
        instant(event, "lastTimestamp"),
        instant(event, "eventTime"),
        instant(event, "firstTimestamp"),
    )
    return next((at for at in known if at is not None), _NEVER)


def event_count(event: Object) -> int:
    return max(number(event, "count") or 1, number(event, "series", "count") or 1)


@dataclass(frozen=True)
class PodSeen:
    """A pod with its containers and what was reported of it, the newest event first."""

    pod: Object
    containers: tuple[Container, ...]
    events: tuple[Object, ...]

    @classmethod
    def of(cls, pod: Object, events: Iterable[Object]) -> PodSeen:
        about = (each for each in events if _is_about_pod(each, pod))
        return cls(pod, containers_of(pod), tuple(sorted(about, key=event_at, reverse=True)))

    def reported(self, *reasons: str) -> tuple[Object, ...]:
        return tuple(each for each in self.events if text(each, "reason") in reasons)

    @property
    def words(self) -> str:
        node = said(text(self.pod, "spec", "nodeName"))
        return f"pod {name_of(self.pod)}" + (f" on node {node}" if node else "")

    def words_of(self, container: Container) -> str:
        name = said(container.name)
        whose = f"{name} (weir's own Envoy)" if name == GUARD else name
        return f"container {whose} of {self.words}"


def _is_about_pod(event: Object, pod: Object) -> bool:
    about = part(event, "involvedObject")
    return about.get("kind") == "Pod" and is_same(about, pod)


def _at(thing: object, names: Sequence[str]) -> Any:
    for name in names:
        thing = thing.get(name) if isinstance(thing, Mapping) else None
    return thing
