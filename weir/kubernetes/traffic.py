"""The gateway of an endpoint: an HTTPRoute with weights, on its own Gateway or a shared one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from weir.endpoint import Endpoint, Split
from weir.errors import TemporaryError
from weir.kubernetes import names
from weir.kubernetes.api import Api
from weir.kubernetes.followers import Followers
from weir.kubernetes.following import Following
from weir.kubernetes.gateways import Gateways
from weir.kubernetes.keys import EndpointKeys
from weir.kubernetes.kinds import DEPLOYMENT, GATEWAY, SECRET, Object, name_of
from weir.kubernetes.owners import taken_from_former
from weir.kubernetes.route_manifests import gateway, parent, refusals, split_of
from weir.kubernetes.routes import Routes, other_managers, unknown
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
        self._routes, self._deployments = Routes(api, settings), Followers()
        self._gateways = Gateways(api, settings)

    def ensure(self, endpoint: Endpoint) -> Endpoint:
        """See Traffic. A port of this machine means nothing here and stays as it is.

        Raises PermanentError ``gateway.not_programmed`` when the Gateway's controller does not
        get it ready in time.
        """
        found = self._routes.get(endpoint.name)
        is_new = found is None
        if found is None:
            found = self._routes.make(endpoint)
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
        present = self._routes.get(endpoint.name)
        if present is None:
            raise unknown(endpoint.name, self._api.where)
        self._require_available(endpoint, split_of(endpoint.name, present))
        self._keys.settle(endpoint.name, endpoint.auth_enabled)
        self._routes.put(endpoint, present)
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
        if self._settings.shared_gateway is None:
            self._api.delete(GATEWAY, names.of_route(endpoint))
        self._api.delete(SECRET, names.of_keys(endpoint))
        self._deployments.forget(endpoint)
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


def _unavailable(versions: Sequence[str], deployments: Sequence[Object]) -> list[str]:
    available = {
        one["metadata"].get("labels", {}).get(names.VERSION): int(
            one.get("status", {}).get("availableReplicas") or 0
        )
        for one in deployments
    }
    return [version for version in versions if not available.get(version)]
