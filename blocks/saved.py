"""Which blocks are saved, and how one is forgotten."""

from __future__ import annotations

from typing import TypeVar

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

Kind = TypeVar("Kind", bound=Block)


def saved_names(kind: type[Block]) -> tuple[str, ...]:
    """Names of the saved blocks of ``kind``, in order."""
    with get_client(sync_client=True) as client:
        try:
            # Before the first of them is saved, the server does not know the type either.
            client.read_block_type_by_slug(kind.get_block_type_slug())
        except ObjectNotFound:
            return ()
        found = client.read_block_documents_by_type(
            kind.get_block_type_slug(), include_secrets=False
        )
    return tuple(sorted(one.name for one in found if one.name and not one.is_anonymous))


def load_saved(kind: type[Kind], name: str) -> Kind | None:
    """None when there is no such block."""
    try:
        found = kind.load(name)
    except ValueError:
        return None
    assert isinstance(found, kind)
    return found


def forget(kind: type[Block], name: str) -> None:
    """Remove the saved block. What it describes stays as it is."""
    with get_client(sync_client=True) as client:
        found = client.read_block_document_by_name(name, kind.get_block_type_slug())
        client.delete_block_document(found.id)
