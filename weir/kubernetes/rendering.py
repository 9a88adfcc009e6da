"""A release's objects as a text that kubectl takes. Pure, deterministic, without Secrets.

Environment variables are printed as the release file has them, which is no place for secrets.
"""

from __future__ import annotations

from typing import Any

import yaml

from weir.endpoint import Endpoint, Split, Version
from weir.kubernetes import names
from weir.kubernetes.kinds import Object, kind_of
from weir.kubernetes.route_manifests import gateway, namespace, route
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.version_manifests import dependents, service


def manifests(endpoint: str, version: Version, settings: ClusterSettings) -> tuple[Object, ...]:
    """What the first release of ``version`` to ``endpoint`` makes, but for the keys."""
    whole = Endpoint(
        name=endpoint,
        versions=(version,),
        control=version.name,
        default=version.name,
        split=Split.everything_to(version.name),
    )
    own = gateway(endpoint, settings)
    found = (
        *((namespace(settings),) if settings.create_namespace else ()),
        service(endpoint, version),
        *dependents(endpoint, version, settings),
        *((own,) if own is not None else ()),
        route(whole, settings),
    )
    return tuple(_placed(manifest, settings.namespace) for manifest in found)


def rendered(endpoint: str, version: Version, settings: ClusterSettings) -> str:
    """YAML documents, with a word on what is not among them."""
    head = (
        f"# Endpoint {endpoint}, version {version.name}, as weir release makes it.\n"
        f"# Not here: Secret {names.of_keys(endpoint)} with the callers' keys, without which no pod"
        " starts;\n"
        "# weir release makes it, and keeps these objects up to date.\n"
    )
    documents = manifests(endpoint, version, settings)
    return head + "".join(f"---\n{_text(one)}" for one in documents)


def _placed(manifest: Object, where: str) -> Object:
    if not kind_of(manifest).namespaced:
        return manifest
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {"name": metadata["name"], "namespace": where, **metadata}}


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, and no references between equal parts."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 the library's signature
        return True


def _as_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _as_text)


def _text(manifest: Object) -> str:
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
