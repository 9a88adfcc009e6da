"""Names and labels of objects. Distinct endpoints and versions never share a name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

MANAGER = "weir"
"""Field manager of server-side apply."""

SPLITTER = "weir-split"
"""Field manager of a route's rules, which change with every split; the rest of it hardly ever."""

STARTER = "weir-start"
"""Field manager of what weir says once and leaves to others from then on."""

ENDPOINT = "weir/endpoint"
VERSION = "weir/version"
_SEPARATOR = "--"
_LONGEST = 52
"""A Service's name has 63 characters; what controllers append to a pod's name needs some more."""
_LONGEST_ROUTE = 44
"""A gateway's controller names its Service after the Gateway and the class."""

_DIGEST_LENGTH = 8
_BEFORE_DIGEST = "---"
"""Never in a name without a digest: endpoints and versions have no hyphen at either end."""

_SERVICE = re.compile(r"[a-z][a-z0-9-]*")


def of_version(endpoint: str, version: str) -> str:
    """The name of a version's objects: fraud--v2.

    What would be too long, begin with a digit or be read in two ways ends in a digest.
    """
    plain = f"{endpoint}{_SEPARATOR}{version}"
    is_clear = plain.count(_SEPARATOR) == 1 and len(plain) <= _LONGEST
    if is_clear and _SERVICE.fullmatch(plain):
        return plain
    begun = f"v-{plain}" if plain[0].isdigit() else plain
    return _digested(begun, f"{endpoint}/{version}", _LONGEST)


def of_route(endpoint: str) -> str:
    """The name of the endpoint's HTTPRoute and of its own Gateway.

    The gateway's controller makes a Service from it, so it may not begin with a digit.
    """
    is_clear = _SEPARATOR not in endpoint and len(endpoint) <= _LONGEST_ROUTE
    if is_clear and _SERVICE.fullmatch(endpoint):
        return endpoint
    begun = f"e-{endpoint}" if endpoint[0].isdigit() else endpoint
    return _digested(begun, endpoint, _LONGEST_ROUTE)


def of_state(endpoint: str) -> str:
    """The ConfigMap with the state document. A dot keeps it apart from every version's name."""
    return f"{endpoint}.state"


def of_windows(endpoint: str, release_id: str, part: int) -> str:
    """A ConfigMap with windows of a release."""
    return f"{endpoint}.windows.{release_id}.{part}"


def of_keys(endpoint: str) -> str:
    """The Secret with the endpoint's keys."""
    return f"{endpoint}.keys"


def is_of(endpoint: str, thing: Mapping[str, Any]) -> bool:
    """Whether weir made the object for this endpoint; others may have one of the same name."""
    labels = thing["metadata"].get("labels") or {}
    is_ours = labels.get("app.kubernetes.io/managed-by") == MANAGER
    return is_ours and labels.get(ENDPOINT) == endpoint


def endpoint_labels(endpoint: str) -> dict[str, str]:
    """Labels of whatever belongs to the endpoint as a whole."""
    return {
        "app.kubernetes.io/name": "weir-endpoint",
        "app.kubernetes.io/instance": endpoint,
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": endpoint,
        ENDPOINT: endpoint,
    }


def version_labels(endpoint: str, version: str) -> dict[str, str]:
    """Labels of whatever belongs to one version."""
    return {
        **endpoint_labels(endpoint),
        "app.kubernetes.io/name": "weir-version",
        "app.kubernetes.io/instance": of_version(endpoint, version),
        "app.kubernetes.io/version": version,
        VERSION: version,
    }


def version_selector(endpoint: str, version: str) -> dict[str, str]:
    """The labels that choose a version's pods; a Deployment's selector can never be changed."""
    return {ENDPOINT: endpoint, VERSION: version}


def _digested(text: str, whole: str, longest: int) -> str:
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_LENGTH]
    stem = text[: longest - _DIGEST_LENGTH - len(_BEFORE_DIGEST)].rstrip("-")
    return f"{stem}{_BEFORE_DIGEST}{digest}"
