"""The gateway of an endpoint: an HTTPRoute with weights, on its own Gateway or a shared one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from weir.endpoint import Endpoint, Split
from weir.errors import PermanentError, TemporaryError
from weir.kubernetes import names
from weir.kubernetes.answers import Conflict, FieldConflict
from weir.kubernetes.api import Api
from weir.kubernetes.followers import Followers
from weir.kubernetes.following import Following
from weir.kubernetes.gateways import Gateways
from weir.kubernetes.keys import EndpointKeys
from weir.kubernetes.kinds import DEPLOYMENT, GATEWAY, ROUTE, SECRET, Object, name_of
from weir.kubernetes.owners import taken_from_former
from weir.kubernetes.route_manifests import gateway, parent, refusals, route, split_of
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.version_manifests import owned_by
from weir.ports import Keys

ACKNOWLEDGE_SECONDS = 30.0
ASK_AGAIN_SECONDS = 5.0
"""A controller that lost a race for the route's status writes it when the route changes again."""

ASKED_AGAIN = "weir/asked-again"
"""Annotation of a route, changed so that its controller looks once more."""

OBJECTION_SECONDS = 5.0
"""How long an objection of the gateway's controller may stand before the route is refused."""

_ATTEMPTS = 10


class KubernetesTraffic:
    """Implements ``Traffic``. How many requests are under way is not known here.

    A split is one server-side apply of the HTTPRoute. What somebody else has changed in it is
    never overwritten unless ``reclaim`` was asked for.
    """

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self._api, self._settings = api, settings
        self._keys = EndpointKeys(api, settings)
        self._followed, self._deployments = Followers(), Followers()
        self._gateways = Gateways(api, settings)
        self._reclaimed: set[str] = set()

    def ensure(self, endpoint: Endpoint) -> Endpoint:
        """See Traffic. A port of this machine means nothing here and stays as it is.

        Raises PermanentError ``gateway.not_programmed`` when the Gateway's controller does not
        get it ready in time.
        """
        found = self._route(endpoint.name)
        is_new = found is None
        if found is None:
            found = self._api.apply(route(endpoint, self._settings))
            self._follow(endpoint.name, found)
        self._keys.ensure(endpoint.name, endpoint.auth_enabled, found)
        own = gateway(endpoint.name, self._settings)
        if own is not None:
            if is_new:
                taken_from_former(self._api, GATEWAY, name_of(own), found)
            own = self._api.apply(owned_by(own, found))
        self._gateways.await_programmed(endpoint.name, own)
        return endpoint if endpoint.port else endpoint.with_port(self._settings.gateway_port)

    def apply(self, endpoint: Endpoint) -> datetime:
        """See Traffic. The route keeps what was applied also when nobody acknowledges it.

        Raises TemporaryError ``version.not_ready`` for more traffic to a version without an
        available replica, and PermanentError ``gateway.changed_by_others`` or
        ``gateway.route_refused``.
        """
        present = self._route(endpoint.name)
        if present is None:
            raise _unknown(endpoint.name, self._api.where)
        self._require_available(endpoint, split_of(endpoint.name, present))
        self._keys.settle(endpoint.name, endpoint.auth_enabled)
        written = self._write(endpoint, present)
        followed = self._follow(endpoint.name, written)
        self._await_acknowledgement(endpoint.name, followed, int(written["metadata"]["generation"]))
        # A controller says that it has accepted a route, and then tells its proxies.
        time.sleep(self._settings.propagation_seconds)
        return datetime.now(UTC)

    def withdraw(self, endpoint: Endpoint) -> datetime:
        """See Traffic. A gateway that has no rule for a pod any more lets it answer all the same.

        It has to come before the pods go: a Service that is deleted has no endpoints at once, and
        a route that names one that is gone is refused.
        """
        return self.apply(endpoint)

    def split(self, endpoint: str) -> Split | None:
        found = self._route(endpoint)
        return None if found is None else split_of(endpoint, found)

    def in_flight(self, endpoint: str) -> Mapping[str, int]:  # noqa: ARG002 nobody counts them here
        return {}

    def trouble(self, endpoint: str) -> str:
        """See Traffic; also says who else has changed the route's rules."""
        found = self._route(endpoint)
        if found is None:
            return ""
        trouble = self._gateways.trouble(endpoint)
        if trouble:
            return trouble
        _, objections = refusals(found, parent(endpoint, self._settings))
        if objections:
            return f"its route is refused: {objections}"
        others = other_managers(found)
        return f"its split was changed by {', '.join(others)}" if others else ""

    def scoring_uri(self, endpoint: str) -> str | None:
        return None if self._route(endpoint) is None else self._gateways.scoring_uri(endpoint)

    def keys(self, endpoint: str) -> Keys:
        return self._keys.read(endpoint)

    def rotate_key(self, endpoint: str, which: Literal["primary", "secondary"]) -> Keys:
        """See Traffic; the old key is refused once the kubelets have passed the new one on."""
        return self._keys.rotate(endpoint, which)

    def reclaim(self, endpoint: str) -> tuple[str, ...]:
        found = self._route(endpoint)
        others = () if found is None else other_managers(found)
        if others:
            self._reclaimed.add(endpoint)
        return others

    def remove(self, endpoint: str) -> None:
        """The route, and with it whatever it owns. Idempotent."""
        name = names.of_route(endpoint)
        found = self._api.get(ROUTE, name)
        if found is not None:
            self._api.delete(ROUTE, name, foreground=True)
            self._await_gone(endpoint, found)
        # What an interrupted or orphaning removal has left.
        if self._settings.shared_gateway is None:
            self._api.delete(GATEWAY, name)
        self._api.delete(SECRET, names.of_keys(endpoint))
        self._forget(endpoint)

    def _route(self, endpoint: str) -> Object | None:
        followed = self._followed.get(endpoint)
        name = names.of_route(endpoint)
        if followed is not None and followed.is_live:
            return followed.get(name)
        return self._api.get(ROUTE, name)

    def _follow(self, endpoint: str, seed: Object) -> Following:
        name = names.of_route(endpoint)
        followed = self._followed.follow(
            endpoint, lambda: Following(self._api, ROUTE, name=name, seed=seed)
        )
        followed.put(seed)
        return followed

    def _forget(self, endpoint: str) -> None:
        self._followed.forget(endpoint)
        self._deployments.forget(endpoint)
        self._gateways.forget(endpoint)
        self._keys.forget(endpoint)

    def _write(self, endpoint: Endpoint, present: Object) -> Object:
        """One server-side apply on the form of the route that is known."""
        wanted = route(endpoint, self._settings)
        force = endpoint.name in self._reclaimed
        for _ in range(_ATTEMPTS):
            version = present["metadata"]["resourceVersion"]
            manifest = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version}}
            try:
                written = self._api.apply(manifest, force=force)
            except FieldConflict as error:
                raise self._changed_by_others(endpoint, error) from error
            except Conflict:
                # Most often the controller's status. What a person changed is a FieldConflict.
                newer = self._api.get(ROUTE, names.of_route(endpoint.name))
                if newer is None:
                    raise _unknown(endpoint.name, self._api.where) from None
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
            f"{error.managers} changed the route's rules; {now}, {endpoint.split} was to be set."
            " Nothing was overwritten.",
            remedy=f"weir resume {endpoint.name} takes the route back and goes on; weir rollback"
            f" {endpoint.name} takes it back and puts all on the control.",
            where=f"endpoint {endpoint.name}",
        )

    def _require_available(self, endpoint: Endpoint, present: Split | None) -> None:
        wanted = endpoint.split
        if wanted is None:
            return
        more = [
            version
            for version in wanted.versions()
            if present is None or wanted.percentile(version) > present.percentile(version)
        ]
        if not more:
            return
        lacking = _unavailable(more, self._deployments_of(endpoint.name))
        if lacking:
            # Whoever waited for them may have been told before this was.
            fresh, _ = self._api.list(DEPLOYMENT, {names.ENDPOINT: endpoint.name})
            lacking = _unavailable(more, fresh)
        if lacking:
            raise TemporaryError(
                "version.not_ready",
                f"version {lacking[0]} has no available replica and gets no more traffic.",
                remedy=f"See weir status {endpoint.name} and weir logs {endpoint.name}"
                f" {lacking[0]}, then run again.",
                where=f"endpoint {endpoint.name}",
            )

    def _deployments_of(self, endpoint: str) -> tuple[Object, ...]:
        """Who shifts traffic once does it again: the Deployments are followed."""
        labels = {names.ENDPOINT: endpoint}
        followed = self._deployments.follow(
            endpoint, lambda: Following(self._api, DEPLOYMENT, labels=labels)
        )
        return followed.objects()

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


def _unavailable(versions: Sequence[str], deployments: Sequence[Object]) -> list[str]:
    available = {
        one["metadata"].get("labels", {}).get(names.VERSION): int(
            one.get("status", {}).get("availableReplicas") or 0
        )
        for one in deployments
    }
    return [version for version in versions if not available.get(version)]


def other_managers(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Who else owns the rules of a route: whoever changed them last without weir."""
    owners = {
        str(entry.get("manager"))
        for entry in found["metadata"].get("managedFields") or ()
        if "f:rules" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        and not (entry.get("manager") == names.MANAGER and entry.get("operation") == "Apply")
    }
    return tuple(sorted(owners))


def _unknown(endpoint: str, where: str) -> PermanentError:
    return PermanentError(
        "gateway.unknown",
        f"endpoint {endpoint} has no gateway.",
        remedy="Release a version to it: that makes one.",
        where=where,
    )
