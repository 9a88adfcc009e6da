"""HTTPRoutes of endpoints: followed, written without overwriting others, and acknowledged."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from weir.endpoint import Endpoint
from weir.errors import PermanentError, StateConflict, TemporaryError
from weir.kubernetes import names
from weir.kubernetes.answers import Conflict, FieldConflict
from weir.kubernetes.api import Api
from weir.kubernetes.followers import Followers
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import ROUTE, Object
from weir.kubernetes.route_manifests import (
    parent,
    refusals,
    revision_of,
    route_frame,
    route_rules,
    split_of,
)
from weir.kubernetes.settings import ClusterSettings

ACKNOWLEDGE_SECONDS = 30.0
ASK_AGAIN_SECONDS = 5.0
"""A controller that lost a race for the route's status writes it when the route changes again."""

ASKED_AGAIN = "weir/asked-again"
"""Annotation of a route, changed so that its controller looks once more."""

OBJECTION_SECONDS = 5.0
"""How long an objection of the gateway's controller may stand before the route is refused."""

_ATTEMPTS = 10


class Routes:
    """Who has written a route once follows it: reading it again asks nobody."""

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self._api, self._settings = api, settings
        self._followed = Followers()
        self._reclaimed: set[str] = set()

    def get(self, endpoint: str) -> Object | None:
        """The endpoint's route; None also where somebody else has one of its name."""
        followed = self._followed.get(endpoint)
        name = names.of_route(endpoint)
        is_followed = followed is not None and followed.is_live
        found = followed.get(name) if followed and is_followed else self._api.get(ROUTE, name)
        return found if found is not None and names.is_of(endpoint, found) else None

    def make(self, endpoint: Endpoint) -> Object:
        """The route of an endpoint that has none, without any traffic; nobody has taken it yet.

        Raises PermanentError ``gateway.name_taken``.
        """
        foreign = self._api.get(ROUTE, names.of_route(endpoint.name))
        if foreign is not None:
            raise name_taken(endpoint.name, "HTTPRoute", names.of_route(endpoint.name))
        empty = endpoint.model_copy(update={"versions": (), "split": None})
        # The rules first: until it hangs on a Gateway, nobody follows the route.
        self._api.apply(route_rules(empty, self._settings), manager=names.SPLITTER)
        made = self._api.apply(route_frame(endpoint.name, self._settings))
        self._follow(endpoint.name, made)
        return made

    def put(
        self,
        endpoint: Endpoint,
        present: Object,
        revision: int,
        without: Collection[str] = (),
    ) -> None:
        """The rules are as ``endpoint`` wants them, and the gateway has taken them.

        One server-side apply on the form that is known, ``present``. Raises StateConflict
        ``gateway.told_by_newer`` when a document of a later revision has set them, PermanentError
        ``gateway.changed_by_others`` or ``gateway.route_refused``, and TemporaryError
        ``gateway.not_acknowledged``.
        """
        written = self._write(endpoint, present, revision, without)
        followed = self._follow(endpoint.name, written)
        self._await_acknowledgement(endpoint.name, followed, int(written["metadata"]["generation"]))

    def reclaim(self, endpoint: str) -> tuple[str, ...]:
        """The next ``put`` overwrites whatever stands in its way. Returns who changed the rules."""
        found = self.get(endpoint)
        if found is None:
            return ()
        self._reclaimed.add(endpoint)
        return other_managers(found)

    def is_reclaimed(self, endpoint: str) -> bool:
        return endpoint in self._reclaimed

    def remove(self, endpoint: str) -> None:
        """The route is gone, and with it whatever it owns. Idempotent."""
        name = names.of_route(endpoint)
        found = self._api.get(ROUTE, name)
        if found is not None and names.is_of(endpoint, found):
            self._api.delete(ROUTE, name, foreground=True)
            self._await_gone(endpoint, found)
        self._followed.forget(endpoint)
        self._reclaimed.discard(endpoint)

    def _follow(self, endpoint: str, seed: Object) -> Following:
        name = names.of_route(endpoint)
        followed = self._followed.follow(
            endpoint, lambda: Following(self._api, ROUTE, name=name, seed=seed)
        )
        followed.put(seed)
        return followed

    def _write(
        self, endpoint: Endpoint, present: Object, revision: int, without: Collection[str]
    ) -> Object:
        force = endpoint.name in self._reclaimed
        for _ in range(_ATTEMPTS):
            there = revision_of(present)
            if there > revision > 0 and not force:
                raise _told_by_newer(endpoint.name, there, revision)
            manifest = route_rules(
                endpoint, self._settings, revision=max(there, revision), without=without
            )
            manifest["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"]
            try:
                written = self._api.apply(manifest, force=force, manager=names.SPLITTER)
            except FieldConflict as error:
                raise self._changed_by_others(endpoint, error) from error
            except Conflict:
                # Most often the controller's status. What a person changed is a FieldConflict.
                newer = self._api.get(ROUTE, names.of_route(endpoint.name))
                if newer is None:
                    raise unknown(endpoint.name, self._api.where) from None
                present = newer
                continue
            self._reclaimed.discard(endpoint.name)
            return written
        raise Conflict(
            "kubernetes.conflict",
            "somebody else keeps changing the route.",
            remedy="Run the command again.",
            where=f"endpoint {endpoint.name}",
        )

    def _changed_by_others(self, endpoint: Endpoint, error: FieldConflict) -> PermanentError:
        there = self._api.get(ROUTE, names.of_route(endpoint.name))
        split = None if there is None else split_of(endpoint.name, there)
        now = f"it is at {split}" if split else "it has no split of weir's"
        return PermanentError(
            "gateway.changed_by_others",
            f"{error.managers} changed the route ({error.message.partition(': ')[2].rstrip('.')});"
            f" {now}, weir wanted {endpoint.split or 'no traffic'}. Nothing was overwritten.",
            remedy=f"weir resume {endpoint.name} takes the route back and goes on; weir rollback"
            f" {endpoint.name} takes it back and puts all on the control.",
            where=f"endpoint {endpoint.name}",
        )

    def _await_acknowledgement(self, endpoint: str, followed: Following, generation: int) -> None:
        wanted = parent(endpoint, self._settings)

        def answer() -> tuple[bool, str]:
            found = followed.get(names.of_route(endpoint))
            if found is None or int(found["metadata"]["generation"]) < generation:
                return False, ""
            return refusals(found, wanted)

        for time_number in range(round(ACKNOWLEDGE_SECONDS / ASK_AGAIN_SECONDS)):
            if followed.wait_until(lambda: any(answer()), ASK_AGAIN_SECONDS):
                break
            again: Object = {ASKED_AGAIN: f"{generation}.{time_number}"}
            change: Object = {"metadata": {"annotations": again}}
            followed.put(self._api.patch(ROUTE, names.of_route(endpoint), change))
        else:
            raise TemporaryError(
                "gateway.not_acknowledged",
                f"no gateway has taken the route within {ACKNOWLEDGE_SECONDS:g} s.",
                remedy="See that the gateway's controller runs, then run again.",
                where=f"endpoint {endpoint}",
            )
        # A controller may not have seen yet what the route speaks of.
        if followed.wait_until(lambda: answer()[0], OBJECTION_SECONDS):
            return
        raise PermanentError(
            "gateway.route_refused",
            f"the gateway refuses the route: {answer()[1] or 'it has taken its word back'}.",
            remedy="Correct what it names in the platform block or at the Gateway, then run again.",
            where=f"endpoint {endpoint}",
        )

    def _await_gone(self, endpoint: str, found: Object) -> None:
        followed = self._follow(endpoint, found)
        name = names.of_route(endpoint)
        if not followed.wait_until(lambda: followed.get(name) is None, ACKNOWLEDGE_SECONDS):
            raise TemporaryError(
                "gateway.not_gone",
                "its route is marked as removed and still there; something holds it back.",
                remedy="See its finalizers (kubectl get httproute -o yaml), then run again.",
                where=f"endpoint {endpoint}",
            )


def other_managers(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Who else owns the rules of a route: whoever changed them last without weir."""
    owners = {
        str(entry.get("manager"))
        for entry in found["metadata"].get("managedFields") or ()
        if "f:rules" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        and not (entry.get("manager") == names.SPLITTER and entry.get("operation") == "Apply")
    }
    return tuple(sorted(owners))


def unknown(endpoint: str, where: str) -> PermanentError:
    """There is no route to change."""
    return PermanentError(
        "gateway.unknown",
        f"endpoint {endpoint} has no gateway.",
        remedy="Release a version to it: that makes one.",
        where=where,
    )


def name_taken(endpoint: str, kind: str, name: str) -> PermanentError:
    """An object of the name is somebody else's."""
    return PermanentError(
        "gateway.name_taken",
        f"there is a {kind} {name} that weir did not make for this endpoint.",
        remedy="Give the endpoint another name, use another namespace, or remove that object.",
        where=f"endpoint {endpoint}",
    )


def _told_by_newer(endpoint: str, there: int, revision: int) -> StateConflict:
    return StateConflict(
        "gateway.told_by_newer",
        f"the gateway was told by revision {there} of the state document, this is of {revision}.",
        remedy=f"Somebody else went on meanwhile: weir status {endpoint}.",
        where=f"endpoint {endpoint}",
    )
