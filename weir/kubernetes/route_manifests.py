"""Gateway and HTTPRoute of an endpoint: manifests, and the split read back from them. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from weir.endpoint import HUNDREDTHS, Endpoint, Split
from weir.envoy import FORCE_HEADER
from weir.kubernetes import names
from weir.kubernetes.kinds import GATEWAY, NAMESPACE, ROUTE, Object
from weir.kubernetes.objects import said
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.version_manifests import SERVICE_PORT

LISTENER = "scoring"

REACHED = "weir/reached"
"""Annotation of a route: what of the platform's settings its callers depend on."""

REVISION = "weir/revision"
"""Annotation of a route: the revision of the state document that its rules are from."""


def namespace(settings: ClusterSettings) -> Object:
    labels = {"app.kubernetes.io/managed-by": names.MANAGER}
    return NAMESPACE.object(settings.namespace, labels)


def gateway(endpoint: str, settings: ClusterSettings) -> Object | None:
    """The endpoint's own Gateway; None behind a shared one."""
    if settings.shared_gateway is not None:
        return None
    listener: Object = {
        "name": LISTENER,
        "port": settings.gateway_port,
        "protocol": "HTTPS" if settings.tls_secret else "HTTP",
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    if settings.host(endpoint):
        listener["hostname"] = settings.host(endpoint)
    if settings.tls_secret:
        listener["tls"] = {
            "mode": "Terminate",
            "certificateRefs": [{"group": "", "kind": "Secret", "name": settings.tls_secret}],
        }
    found = GATEWAY.object(
        names.of_route(endpoint), names.endpoint_labels(endpoint), settings.gateway_annotations
    )
    found["spec"] = {"gatewayClassName": settings.gateway_class, "listeners": [listener]}
    return found


def parent(endpoint: str, settings: ClusterSettings) -> Object:
    """The Gateway that the endpoint's route hangs on."""
    shared = settings.shared_gateway
    found = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    if shared is not None:
        return {**found, "namespace": shared.namespace, "name": shared.name}
    return {**found, "name": names.of_route(endpoint)}


def route_frame(endpoint: str, settings: ClusterSettings) -> Object:
    """The endpoint's HTTPRoute without its rules: where it hangs, and how it is reached."""
    reached = json.dumps(settings.reached(endpoint), sort_keys=True)
    found = ROUTE.object(
        names.of_route(endpoint), names.endpoint_labels(endpoint), {REACHED: reached}
    )
    found["spec"] = {"parentRefs": [parent(endpoint, settings)]}
    host = settings.host(endpoint)
    if host:
        found["spec"]["hostnames"] = [host]
    return found


def route_rules(
    endpoint: Endpoint,
    settings: ClusterSettings,
    *,
    revision: int = 0,
    without: Collection[str] = (),
) -> Object:
    """The rules alone: one for each version's header, then the weights of the split.

    Weights are hundredths of a percent. Only what every implementation has to have is used.
    ``revision`` is the document's that wants them. Versions in ``without`` get no rule of their
    own.
    """
    path = {"type": "PathPrefix", "value": settings.path_prefix(endpoint.name)}
    forced = [
        _forced(endpoint.name, version.name, path)
        for version in endpoint.versions
        if version.name not in without
    ]
    return {
        "apiVersion": ROUTE.version,
        "kind": ROUTE.name,
        "metadata": {
            "name": names.of_route(endpoint.name),
            "annotations": {REVISION: str(revision)},
        },
        "spec": {"rules": [*forced, _weighted(endpoint, path)]},
    }


def route(endpoint: Endpoint, settings: ClusterSettings) -> Object:
    """The whole HTTPRoute, for people and kubectl."""
    frame, rules = route_frame(endpoint.name, settings), route_rules(endpoint, settings)
    return {**frame, "spec": {**frame["spec"], **rules["spec"]}}


def revision_of(found: Mapping[str, Any]) -> int:
    """The revision of the document that a route's rules are from; 0 where nobody knows."""
    text = str((found["metadata"].get("annotations") or {}).get(REVISION, ""))
    return int(text) if text.isdigit() else 0


def reached_otherwise(
    found: Mapping[str, Any], endpoint: str, settings: ClusterSettings
) -> tuple[str, ...]:
    """In what ``settings`` differ from those that the route was made with, in words."""
    text = (found["metadata"].get("annotations") or {}).get(REACHED)
    try:
        there = json.loads(text) if text else {}
    except ValueError:
        return ()
    return tuple(
        f"{name} is {there.get(name) or 'none'}, not {wanted or 'none'}"
        for name, wanted in settings.reached(endpoint).items()
        if there and there.get(name) != wanted
    )


def split_of(endpoint: str, route: Mapping[str, Any]) -> Split | None:
    """The split that a route asks for; None when nothing takes traffic or it is not weir's."""
    known = {names.of_version(endpoint, version): version for version in _versions_of(route)}
    for rule in route["spec"].get("rules") or ():
        if any(match.get("headers") for match in rule.get("matches") or ()):
            continue
        weights: dict[str, int] = {}
        for backend in rule.get("backendRefs") or ():
            version = known.get(str(backend.get("name")))
            weight = int(backend.get("weight", 1))
            if version is None and weight:
                return None
            if version is not None:
                weights[version] = weights.get(version, 0) + weight
        return _in_hundredths(weights)
    return None


def refusals(route: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the route's parent has taken its newest form, and what it objects to.

    ``(False, "")`` while nobody has answered.
    """
    generation = int(route["metadata"].get("generation", 0))
    for status in route.get("status", {}).get("parents") or ():
        reference = status.get("parentRef", {})
        own = route["metadata"].get("namespace")
        is_ours = reference.get("name") == wanted["name"]
        if not is_ours or reference.get("namespace", own) != wanted.get("namespace", own):
            continue
        conditions = {
            str(one.get("type")): one
            for one in status.get("conditions") or ()
            if int(one.get("observedGeneration", generation)) >= generation
        }
        objections = [
            said(f"{name} is {one.get('status')}: {one.get('reason')}, {one.get('message') or ''}")
            for name in ("Accepted", "ResolvedRefs")
            if (one := conditions.get(name)) is not None and one.get("status") != "True"
        ]
        if objections:
            return False, "; ".join(objections)
        if "Accepted" in conditions and "ResolvedRefs" in conditions:
            return True, ""
    return False, ""


def condition(thing: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """A condition of an object's status that speaks of its newest form."""
    generation = int(thing["metadata"].get("generation", 0))
    for one in thing.get("status", {}).get("conditions") or ():
        is_new = int(one.get("observedGeneration", generation)) >= generation
        if one.get("type") == name and is_new:
            return dict(one)
    return None


def address_of(gateway: Mapping[str, Any]) -> str:
    """Where callers reach a Gateway; empty while it has no address."""
    addresses: Sequence[Mapping[str, Any]] = gateway.get("status", {}).get("addresses") or ()
    return next((str(one["value"]) for one in addresses if one.get("value")), "")


def _forced(endpoint: str, version: str, path: Mapping[str, str]) -> Object:
    header = {"type": "Exact", "name": FORCE_HEADER, "value": version}
    return {
        "matches": [{"path": dict(path), "headers": [header]}],
        "backendRefs": [_backend(endpoint, version, 1)],
    }


def _weighted(endpoint: Endpoint, path: Mapping[str, str]) -> Object:
    rule: Object = {"matches": [{"path": dict(path)}]}
    if endpoint.split is not None:
        rule["backendRefs"] = [
            _backend(endpoint.name, version, weight)
            for version, weight in sorted(endpoint.split.hundredths.items())
            if weight
        ]
    return rule


def _backend(endpoint: str, version: str, weight: int) -> Object:
    return {
        "group": "",
        "kind": "Service",
        "name": names.of_version(endpoint, version),
        "port": SERVICE_PORT,
        "weight": weight,
    }


def _versions_of(route: Mapping[str, Any]) -> list[str]:
    """The versions that a header chooses; a split is among those."""
    return [
        str(header["value"])
        for rule in route["spec"].get("rules") or ()
        for match in rule.get("matches") or ()
        for header in match.get("headers") or ()
        if header.get("name") == FORCE_HEADER
    ]


def _in_hundredths(weights: Mapping[str, int]) -> Split | None:
    total = sum(weights.values())
    if not total:
        return None
    if total == HUNDREDTHS:
        return Split(hundredths=dict(weights))
    # Somebody else's weights: the nearest shares, the largest taking what rounding leaves.
    shares = {name: round(weight * HUNDREDTHS / total) for name, weight in weights.items()}
    largest = max(shares, key=lambda name: shares[name])
    shares[largest] += HUNDREDTHS - sum(shares.values())
    return Split(hundredths=shares)
