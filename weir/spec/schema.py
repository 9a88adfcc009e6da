"""The JSON Schema of a release file, for editors: ``python -m weir.spec.schema``.

An editor with the YAML language server follows this first line of a release file:

    # yaml-language-server: $schema=docs/release.schema.json
"""

from __future__ import annotations

import json
from typing import Any

from weir.spec.release import ReleaseSpec


def json_schema() -> dict[str, Any]:
    """What an editor may complete and underline; ``load_release`` checks more than this."""
    schema = ReleaseSpec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "weir release file"
    parts = schema["$defs"]
    # Two places take a shorter form than their models say.
    name = parts["EndpointSpec"]["properties"]["name"]
    endpoint = schema["properties"]["endpoint"]
    reference = endpoint.pop("$ref")
    endpoint["anyOf"] = [{"$ref": reference}, {"type": "string", "pattern": name["pattern"]}]
    version = parts["ModelSpec"]["properties"]["version"]
    text = {key: version.pop(key) for key in ("type", "minLength", "maxLength")}
    version["anyOf"] = [text, {"type": "integer"}]
    return schema


def as_text() -> str:
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(as_text(), end="")
