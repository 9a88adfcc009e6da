"""ARM's names of things: /subscriptions/S/resourceGroups/G/providers/P/T/N. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from weir.errors import UserError

MANAGED_CLUSTER = "Microsoft.ContainerService/managedClusters"
REGISTRY = "Microsoft.ContainerRegistry/registries"
WORKSPACE = "Microsoft.OperationalInsights/workspaces"
COMPONENT = "Microsoft.Insights/components"

_PARTS = 9
"""With the empty one before the first slash."""


@dataclass(frozen=True)
class ResourceId:
    """One resource; ``kind`` is its provider and type, one of those above."""

    subscription_id: str
    resource_group: str
    kind: str
    name: str

    def __str__(self) -> str:
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/{self.kind}/{self.name}"


def parse(text: str, kind: str, field: str = "resource_id") -> ResourceId:
    """Raises UserError ``azure.resource_id``. Azure does not tell upper and lower case apart."""
    parts = text.strip().rstrip("/").split("/")
    pattern = f"/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/{kind}/NAME"
    if len(parts) != _PARTS or parts[0] or not all(parts[1:]):
        raise _malformed(text, f"it has to be {pattern}", field)
    words = (parts[1].lower(), parts[3].lower(), parts[5].lower())
    if words != ("subscriptions", "resourcegroups", "providers"):
        raise _malformed(text, f"it has to be {pattern}", field)
    found = f"{parts[6]}/{parts[7]}"
    if found.lower() != kind.lower():
        raise _malformed(text, f"it is a {found}, not a {kind}", field)
    return ResourceId(parts[2], parts[4], kind, parts[8])


def _malformed(text: str, why: str, field: str) -> UserError:
    return UserError(
        "azure.resource_id",
        f"{text!r} is not the id that is wanted here: {why}.",
        remedy="Copy it from the resource's properties, or from az ... show --query id -o tsv.",
        where=field,
    )
