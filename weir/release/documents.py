"""The documents of all endpoints, as far as they can be read."""

from __future__ import annotations

from collections.abc import Callable

from weir.document import EndpointDocument
from weir.errors import PermanentError
from weir.ports import Platform


def readable(
    platform: Platform, say: Callable[[str], object] = lambda _: None
) -> list[EndpointDocument]:
    """Every endpoint's document. One that cannot be read is said: the others need their turn."""
    found = []
    for name in platform.state.endpoints():
        try:
            document = platform.state.read(name)
        except PermanentError as error:
            say(f"endpoint {name} is left out: {error}")
            continue
        if document is not None:
            found.append(document)
    return found
