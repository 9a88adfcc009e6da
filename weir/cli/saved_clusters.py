"""The blocks AzureCluster that commands are about, in Prefect's server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from weir.cli.runs import settle_api
from weir.errors import UserError

if TYPE_CHECKING:
    from blocks import AzureCluster

_BLOCK_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def load(name: str) -> AzureCluster:
    """Raises UserError ``cluster.unknown`` when no such block is saved."""
    found = look_for(name)
    if found is not None:
        return found
    known = ", ".join(names()) or "none"
    raise UserError(
        "cluster.unknown",
        f"there is no saved cluster {name}; there is {known}.",
        remedy="weir cluster create and weir cluster attach save one.",
        where="name",
    )


def look_for(name: str) -> AzureCluster | None:
    """None when no such block is saved. Raises UserError ``cluster.name``."""
    _require_block_name(name)
    settle_api()
    from blocks import AzureCluster, saved

    return saved.load_saved(AzureCluster, name)


def names() -> tuple[str, ...]:
    settle_api()
    from blocks import AzureCluster, saved

    return saved.saved_names(AzureCluster)


def save(block: AzureCluster, name: str) -> None:
    block.save(name, overwrite=True)


def forget(name: str) -> None:
    from blocks import AzureCluster, saved

    saved.forget(AzureCluster, name)


def changed(
    name: str, present: AzureCluster | None, fields: Mapping[str, Any], plan: Mapping[str, Any]
) -> AzureCluster:
    """The block with ``fields``, and ``plan`` in its field create; the rest as it is saved.

    ``identity`` is the name of a saved block AzureIdentity. Raises UserError ``cluster.fields``
    for values that cannot be, ``cluster.name_taken`` where the saved block is another cluster's.
    """
    from pydantic import ValidationError

    from blocks import AzureCluster

    values = {} if present is None else _values_of(present)
    values |= {**fields, **_identity_of(fields)}
    if fields.get("resource_id"):
        values |= dict.fromkeys(_NAMED_BY, "") | {
            one: fields[one] for one in _NAMED_BY if one in fields
        }
    if plan:
        known = values.get("create")
        values["create"] = {**_plan_values(known), **plan}
    try:
        block = AzureCluster(**values)
    except ValidationError as error:
        raise _invalid(error) from None
    target = block.target()
    if present is not None and str(present.target()).lower() != str(target).lower():
        raise UserError(
            "cluster.name_taken",
            f"{name} is saved already, for {present.target()}.",
            remedy=f"Choose another name, or weir cluster detach {name} first.",
            where="name",
        )
    block._block_document_name = name
    return block


_NAMED_BY = ("subscription_id", "resource_group", "cluster_name")


def _values_of(block: AzureCluster) -> dict[str, Any]:
    """The fields as they are, secrets and saved blocks in them included."""
    return {name: getattr(block, name) for name in type(block).model_fields}


def _plan_values(known: Any) -> dict[str, Any]:
    if known is None:
        return {}
    if isinstance(known, Mapping):
        return dict(known)
    return {name: getattr(known, name) for name in type(known).model_fields}


def _identity_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    wanted = fields.get("identity")
    if not isinstance(wanted, str):
        return {}
    from blocks import AzureIdentity, saved

    name = wanted.removeprefix("weir-azure-identity/")
    found = saved.load_saved(AzureIdentity, name)
    if found is None:
        known = ", ".join(saved.saved_names(AzureIdentity)) or "none"
        raise UserError(
            "cluster.identity",
            f"there is no saved identity {name}; there is {known}.",
            remedy="Save a block weir Azure Identity first (docs/azure.md), or leave --identity"
            " out to sign in as az login did.",
            where="--identity",
        )
    return {"identity": found}


def _invalid(error: Any) -> UserError:
    # Without the values: one of them may be a secret in the wrong place.
    wrong = [
        f"{'.'.join(str(part) for part in one['loc']) or 'block'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    ]
    return UserError(
        "cluster.fields",
        f"{'; '.join(wrong)}.",
        remedy="Correct the option, or the field of --file.",
        where="cluster",
    )


def _require_block_name(name: str) -> None:
    if not _BLOCK_NAME.fullmatch(name):
        raise UserError(
            "cluster.name",
            f"{name!r} can be no saved cluster: lower-case letters, digits and single hyphens.",
            remedy="Choose another name; --cluster-name is what it is called in Azure.",
            where="name",
        )
