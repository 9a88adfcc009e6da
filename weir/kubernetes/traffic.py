"""The gateway of an endpoint: an HTTPRoute with weights, on its own Gateway or a shared one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from weir.endpoint import Endpoint, Split
from weir.errors import PermanentError, TemporaryError
from weir.kubernetes import names
from weir.kubernetes.api import Api
from weir.kubernetes.gateways import Gateways
from weir.kubernetes.keys import EndpointKeys
from weir.kubernetes.kinds import DEPLOYMENT, GATEWAY, SECRET, SERVICE, Kind, Object, name_of
from weir.kubernetes.owners import taken_from_former
from weir.kubernetes.route_manifests import (
    REACHED,
    gateway,
    parent,
    reached_otherwise,
    refusals,
    route_frame,
    split_of,
)
from weir.kubernetes.routes import Routes, name_taken, other_managers, unknown
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.version_manifests import owned_by
from weir.ports import Keys


class KubernetesTraffic:
    """Implements ``Traffic``. How many requests are under way is not known here.

    A split is one server-side apply of the HTTPRoute. What somebody else has changed in it is
    never overwritten unless ``reclaim`` was asked for.
    """

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self._api, self._settings = api, settings
        self._keys = EndpointKeys(api, settings)
        self._routes = Routes(api, settings)
        self._gateways = Gateways(api, settings)

    def ensure(self, endpoint: Endpoint) -> Endpoint:
        """See Traffic. A port of this machine means nothing here and stays as it is.

        A route that is made anew has no traffic until ``apply``. Raises PermanentError
        ``gateway.name_taken``, ``platform.differs``, ``gateway.missing``, and
        ``gateway.not_programmed`` when the Gateway's controller does not get it ready in time.
        """
        found = self._routes.get(endpoint.name)
        own = gateway(endpoint.name, self._settings)
        if found is None:
            if own is not None:
                self._require_name(endpoint.name, own)
            found = self._routes.make(endpoint)
            if own is not None:
                taken_from_former(self._api, GATEWAY, name_of(own), found)
        self._require_agreed(endpoint.name, found)
        if REACHED not in (found["metadata"].get("annotations") or {}):
            # Taken away by a person, to have it written anew.
            found = self._api.apply(route_frame(endpoint.name, self._settings))
        self._keys.ensure(endpoint.name, endpoint.auth_enabled)
        if own is not None:
            own = self._api.apply(owned_by(own, found))
        self._gateways.await_programmed(endpoint.name, own)
        return endpoint if endpoint.port else endpoint.with_port(self._settings.gateway_port)

    def difference(self, endpoint: str) -> tuple[str, ...]:
        """See Traffic. Raises PermanentError ``platform.differs``."""
        found, own = self._routes.get(endpoint), gateway(endpoint, self._settings)
        if found is not None:
            self._require_agreed(endpoint, found)
            return ()
        made = [f"+ HTTPRoute {names.of_route(endpoint)}"]
        if own is not None:
            self._require_name(endpoint, own)
            made.append(f"+ Gateway {name_of(own)}")
        has_keys = self._keys.are_there(endpoint)
        return (*made, *(() if has_keys else (f"+ Secret {names.of_keys(endpoint)}",)))

    def apply(self, endpoint: Endpoint, revision: int = 0) -> datetime:
        """See Traffic. The route keeps what was applied also when nobody acknowledges it.

        Raises TemporaryError ``version.not_ready`` for more traffic to a version without an
        available replica, unless a person has asked (``reclaim``); PermanentError
        ``platform.differs``, ``gateway.changed_by_others`` or ``gateway.route_refused``.
        """
        present = self._routes.get(endpoint.name)
        if present is None:
            raise unknown(endpoint.name, self._api.where)
        self._require_agreed(endpoint.name, present)
        if not self._routes.is_reclaimed(endpoint.name):
            self._require_available(endpoint, split_of(endpoint.name, present))
        try:
            self._routes.put(endpoint, present, revision)
        except PermanentError as error:
            is_about_backends = "ResolvedRefs is" in error.message
            if not is_about_backends or not self._drop_missing(endpoint, revision):
                raise
        self._keys.settle(endpoint.name, endpoint.auth_enabled)
        # A controller says that it has accepted a route, and then tells its proxies.
        time.sleep(self._settings.propagation_seconds)
        return datetime.now(UTC)

    def withdraw(self, endpoint: Endpoint, revision: int = 0) -> datetime:
        """See Traffic. A gateway that has no rule for a pod any more lets it answer all the same.

        It has to come before the pods go: a Service that is deleted has no endpoints at once, and
        a route that names one that is gone is refused.
        """
        return self.apply(endpoint, revision)

    def split(self, endpoint: str) -> Split | None:
        found = self._routes.get(endpoint)
        return None if found is None else split_of(endpoint, found)

    def in_flight(self, endpoint: str) -> Mapping[str, int]:  # noqa: ARG002 nobody counts them here
        return {}

    def trouble(self, endpoint: str) -> str:
        """See Traffic; also says who else has changed the route's rules."""
        found = self._routes.get(endpoint)
        if found is None:
            return ""
        trouble = self._gateways.trouble(endpoint)
        if trouble:
            return trouble
        _, objections = refusals(found, parent(endpoint, self._settings))
        if objections:
            return f"its route is refused: {objections}"
        if not self._keys.are_there(endpoint):
            return "its keys' Secret is gone, so no new pod can start; weir release makes another"
        others = other_managers(found)
        return f"its split was changed by {', '.join(others)}" if others else ""

    def scoring_uri(self, endpoint: str) -> str | None:
        return None if self._routes.get(endpoint) is None else self._gateways.scoring_uri(endpoint)

    def keys(self, endpoint: str) -> Keys:
        return self._keys.read(endpoint)

    def rotate_key(self, endpoint: str, which: Literal["primary", "secondary"]) -> Keys:
        """See Traffic; the old key is refused once the kubelets have passed the new one on."""
        return self._keys.rotate(endpoint, which)

    def reclaim(self, endpoint: str) -> tuple[str, ...]:
        return self._routes.reclaim(endpoint)

    def remove(self, endpoint: str) -> None:
        """The route, and with it whatever it owns. Idempotent."""
        self._routes.remove(endpoint)
        # What an interrupted or orphaning removal has left.
        name = names.of_route(endpoint)
        if self._settings.shared_gateway is None:
            self._remove_own(endpoint, GATEWAY, name)
        self._remove_own(endpoint, SECRET, names.of_keys(endpoint))
        self._gateways.forget(endpoint)
        self._keys.forget(endpoint)

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
        # Asked, not remembered: no version without replicas may get traffic.
        found, _ = self._api.list(DEPLOYMENT, {names.ENDPOINT: endpoint.name})
        lacking = _unavailable(more, found)
        if lacking:
            raise TemporaryError(
                "version.not_ready",
                f"version {lacking[0]} has no available replica and gets no more traffic.",
                remedy=f"See weir status {endpoint.name} and weir logs {endpoint.name}"
                f" {lacking[0]}, then run again.",
                where=f"endpoint {endpoint.name}",
            )

    def _require_agreed(self, endpoint: str, present: Object) -> None:
        """Another block than the endpoint was released with would cut its callers off."""
        others = reached_otherwise(present, endpoint, self._settings)
        if others:
            raise PermanentError(
                "platform.differs",
                f"the endpoint was released with other settings of the platform: its"
                f" {', its '.join(others)}. Nothing was changed.",
                remedy="Name the platform block that it was released with. To change it on purpose:"
                f" kubectl annotate httproute {names.of_route(endpoint)} {REACHED}- in its"
                " namespace, then release again.",
                where=f"endpoint {endpoint}",
            )

    def _require_name(self, endpoint: str, own: Object) -> None:
        found = self._api.get(GATEWAY, name_of(own))
        if found is not None and not names.is_of(endpoint, found):
            raise name_taken(endpoint, "Gateway", name_of(own))

    def _drop_missing(self, endpoint: Endpoint, revision: int) -> bool:
        """Whether the route is taken without the rules of versions whose Service is gone.

        Somebody removed it by hand: that must not keep the others from their traffic.
        """
        services, _ = self._api.list(SERVICE, {names.ENDPOINT: endpoint.name})
        there = {one["metadata"]["labels"].get(names.VERSION) for one in services}
        missing = {version.name for version in endpoint.versions} - there
        taking = set(endpoint.split.versions()) if endpoint.split else set()
        present = self._routes.get(endpoint.name)
        if not missing or missing & taking or present is None:
            return False
        self._routes.put(endpoint, present, revision, without=missing)
        return True

    def _remove_own(self, endpoint: str, kind: Kind, name: str) -> None:
        found = self._api.get(kind, name)
        if found is not None and names.is_of(endpoint, found):
            self._api.delete(kind, name)


def _unavailable(versions: Sequence[str], deployments: Sequence[Object]) -> list[str]:
    available = {
        one["metadata"].get("labels", {}).get(names.VERSION): int(
            one.get("status", {}).get("availableReplicas") or 0
        )
        for one in deployments
    }
    return [version for version in versions if not available.get(version)]
