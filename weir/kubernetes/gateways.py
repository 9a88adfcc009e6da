"""The Gateway before an endpoint, its own or a shared one: awaited, and where it is reached."""

from __future__ import annotations

from weir.envoy import SCORING_PATH
from weir.errors import PermanentError
from weir.kubernetes import names
from weir.kubernetes.api import Api
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import GATEWAY, Object
from weir.kubernetes.objects import condition_said
from weir.kubernetes.route_manifests import address_of, condition
from weir.kubernetes.settings import ClusterSettings

_HTTPS = 443
_CONDITIONS = ("Accepted", "Programmed")


class Gateways:
    """Looks at Gateways; ``await_programmed`` remembers where it has found one to be."""

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self._api, self._settings = api, settings
        self._addresses: dict[str, str] = {}

    def await_programmed(self, endpoint: str, own: Object | None) -> None:
        """Return when the Gateway serves and has an address. ``own`` is the endpoint's, just seen.

        Raises PermanentError ``gateway.not_programmed`` when that takes too long, and
        ``gateway.missing`` when a shared one is not there.
        """
        if own is not None and self._is_programmed(endpoint, own):
            return
        name, api = self._name(endpoint), self._its_api()
        with Following(api, GATEWAY, name=name, seed=own) as followed:
            if own is None and not followed.objects():
                raise self._missing(name, api.namespace)

            def is_programmed() -> bool:
                found = followed.get(name)
                return found is not None and self._is_programmed(endpoint, found)

            if not followed.wait_until(is_programmed, self._settings.gateway_timeout_seconds):
                raise self._not_programmed(endpoint, followed.get(name))

    def trouble(self, endpoint: str) -> str:
        """Why the Gateway does not serve; empty when it does."""
        found = self._object(endpoint)
        if found is None:
            return "its Gateway is gone"
        programmed = condition(found, "Programmed")
        if programmed is not None and programmed.get("status") != "True":
            return f"its Gateway is not programmed: {condition_said(programmed)}"
        return ""

    def scoring_uri(self, endpoint: str) -> str | None:
        """Where callers score; None while the Gateway has no address."""
        address = self._settings.host(endpoint) or self._address(endpoint)
        if not address:
            return None
        port = self._settings.gateway_port
        is_secure = bool(self._settings.tls_secret) or port == _HTTPS
        scheme, usual = ("https", _HTTPS) if is_secure else ("http", 80)
        shown_port = "" if port == usual else f":{port}"
        prefix = self._settings.path_prefix(endpoint).rstrip("/")
        return f"{scheme}://{address}{shown_port}{prefix}{SCORING_PATH}"

    def forget(self, endpoint: str) -> None:
        """The endpoint is gone."""
        self._addresses.pop(endpoint, None)

    def _address(self, endpoint: str) -> str:
        known = self._addresses.get(endpoint)
        if known:
            return known
        found = self._object(endpoint)
        return "" if found is None else address_of(found)

    def _object(self, endpoint: str) -> Object | None:
        return self._its_api().get(GATEWAY, self._name(endpoint))

    def _name(self, endpoint: str) -> str:
        shared = self._settings.shared_gateway
        return shared.name if shared is not None else names.of_route(endpoint)

    def _its_api(self) -> Api:
        shared = self._settings.shared_gateway
        return self._api if shared is None else self._api.in_namespace(shared.namespace)

    def _missing(self, name: str, namespace: str) -> PermanentError:
        return PermanentError(
            "gateway.missing",
            f"there is no Gateway {namespace}/{name}, which the platform block shares.",
            remedy="Correct shared_gateway in the platform block, or make that Gateway.",
            where=self._api.where,
        )

    def _is_programmed(self, endpoint: str, found: Object) -> bool:
        programmed, address = condition(found, "Programmed"), address_of(found)
        if programmed is None or programmed.get("status") != "True" or not address:
            return False
        self._addresses[endpoint] = address
        return True

    def _not_programmed(self, endpoint: str, found: Object | None) -> PermanentError:
        conditions = [condition(found, name) for name in _CONDITIONS] if found else []
        told = [condition_said(one) for one in conditions if one and one.get("status") != "True"]
        otherwise = "no controller answers"
        if found is None:
            otherwise = "it is not there"
        elif told == [] and all(conditions):
            otherwise = "it has no address"
        words = "; ".join(told) or otherwise
        return PermanentError(
            "gateway.not_programmed",
            f"the Gateway was not ready within {self._settings.gateway_timeout_seconds:g} s:"
            f" {words}.",
            remedy="See that its class is right and its controller runs, and that a load balancer"
            " can be had; kubectl describe gateway tells more.",
            where=f"endpoint {endpoint}, {self._api.where}",
        )
