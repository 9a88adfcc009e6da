"""What an answer of the API server has to look like; anything else comes from somebody else.

Each takes what was parsed from JSON and raises Malformed. Pure.
"""

from __future__ import annotations

import json
import re
from typing import Any

from weir.kubernetes.kinds import Object

_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


class Malformed(ValueError):
    """The answer is not the API server's."""


def a_document(found: Any) -> Object:
    if not isinstance(found, dict):
        raise Malformed("not a JSON object")
    return found


def an_object(found: Any) -> Object:
    metadata = a_document(found).get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise Malformed("not an object of the API")
    return dict(found)


def an_end(found: Any) -> Object:
    """What follows a removal: a Status, or the object that goes."""
    if not isinstance(a_document(found).get("kind"), str):
        raise Malformed("neither a Status nor an object of the API")
    return dict(found)


def a_list(found: Any) -> Object:
    whole = a_document(found)
    items = whole.get("items", ())
    if not isinstance(whole.get("metadata"), dict) or "items" not in whole:
        raise Malformed("not a list of the API")
    for item in items or ():
        an_object(item)
    return whole


def an_event(found: Any) -> Object:
    """An event of a watch; ``object`` is a Status when its type is ERROR."""
    kind, thing = a_document(found).get("type"), a_document(found).get("object")
    if not isinstance(kind, str) or not isinstance(thing, dict):
        raise Malformed("not an event of a watch")
    if kind != "ERROR":
        metadata = thing.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("resourceVersion"), str):
            raise Malformed("an event without a resourceVersion")
        if kind != "BOOKMARK":
            an_object(thing)
    return dict(found)


def as_yaml(manifest: Object) -> bytes:
    """JSON that is YAML as well, which wants every character beyond U+FFFF written out."""
    text = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"))
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
