"""Discovery files: a list of resources with a version that Envoy reports back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""Ten times faster where libyaml is there; the text is the same."""

TYPE = "type.googleapis.com/"


def typed(name: str, /, **fields: Any) -> Resource:
    """A protobuf Any: ``name`` is the full message name."""
    return {"@type": TYPE + name, **fields}


def seconds(value_seconds: float) -> str:
    """A protobuf duration."""
    return f"{value_seconds:.9f}".rstrip("0").rstrip(".") + "s"


def file_source(path: Path, mount: Path | None = None) -> dict[str, Any]:
    """Where Envoy reads resources from, and reads them anew when ``path`` is replaced by a rename.

    ``mount`` is for a folder in which the kubelet does not replace the files themselves but the
    link that they all lead through: then any rename in ``mount`` counts.
    """
    source: dict[str, Any] = {"path": str(path)}
    if mount is not None:
        source["watched_directory"] = {"path": str(mount)}
    return {"resource_api_version": "V3", "path_config_source": source}


def render(resources: Sequence[Mapping[str, Any]]) -> str:
    """The text of a discovery file. The same resources give the same text and version."""
    digest = hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]
    document = {"version_info": digest, "resources": [dict(r) for r in resources]}
    return yaml.dump(document, Dumper=_DUMPER, sort_keys=False, width=1000)


def parse(text: str) -> list[Resource]:
    """The resources of a discovery file. Raises ValueError when it is not one."""
    try:
        document = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        # The parser's message quotes the text, which may hold keys.
        raise ValueError("the discovery file is not YAML") from error.__cause__
    if not isinstance(document, dict) or not isinstance(document.get("resources"), list):
        raise ValueError("the discovery file has no resources")
    return list(document["resources"])


def version_info(text: str) -> str:
    """The version that Envoy reports after it has accepted ``text``."""
    first = text.split("\n", 1)[0]
    return first.removeprefix("version_info:").strip().strip("'\"")


def union(old: Iterable[Resource], new: Iterable[Resource]) -> list[Resource]:
    """``new``, and what only ``old`` has, by name."""
    new = list(new)
    names = {_name(resource) for resource in new}
    return [*new, *(resource for resource in old if _name(resource) not in names)]


def _name(resource: Resource) -> str:
    return str(resource.get("name") or resource.get("cluster_name"))
