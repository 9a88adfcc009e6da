"""What commands say of clusters: as a list, as a difference, as what stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from weir.errors import UserError, WeirError

if TYPE_CHECKING:
    from blocks import AzureCluster
    from weir.azure.clusters import AzureClusters

LOOKING_SECONDS = 5.0
"""A cluster that is to be forgotten may be gone, or out of reach."""

HEADER = ("NAME", "STATE", "LOCATION", "NODES", "KUBERNETES", "PLAN")


def differs(name: str, lines: Sequence[str]) -> UserError:
    """The error for a cluster that is there and not as it was asked for."""
    return UserError(
        "cluster.differs",
        f"the cluster is there already, and differs: {'; '.join(lines)}.",
        remedy=f"Ask for it as it is, take it as it is with weir cluster attach {name}, or choose"
        " another name. Nothing was touched.",
        where=f"cluster {name}",
    )


def listed(
    clusters: Mapping[str, Callable[[], AzureClusters]],
) -> tuple[list[str], list[WeirError]]:
    """The lines of a table, and why what is unknown in it could not be looked at."""
    rows: list[tuple[str, ...]] = [HEADER]
    troubles: list[WeirError] = []
    for name, opened in clusters.items():
        try:
            rows.append(_row(name, opened()))
        except WeirError as error:
            rows.append((name, "unknown", "", "", "", ""))
            troubles.append(error)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    table = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return table, troubles


def still_there(block: AzureCluster) -> list[str]:
    """What of a cluster runs, and goes on running where it is forgotten."""
    try:
        platform = block.platform(LOOKING_SECONDS)
        found = block.clusters().aks.find()
        if found is None:
            return [f"there is no cluster {block.target().name} in Azure"]
        lines = [
            f"in Azure there is {found.name} ({found.state}, {found.location}) with {found.nodes}"
            " nodes"
        ]
        endpoints = platform.state.endpoints() if found.is_settled and found.is_running else ()
        if endpoints:
            lines.append(f"endpoints in it: {', '.join(endpoints)}")
    except WeirError as error:
        return [f"what is there cannot be told: {error.message} [{error.reason}]"]
    return lines


def _row(name: str, clusters: AzureClusters) -> tuple[str, ...]:
    found = clusters.aks.find()
    if found is None:
        return (name, "missing", "", "", "", "")
    state = found.state if found.is_running else "Stopped"
    lines = clusters.differences(found)
    fits = "attached" if clusters.wanted.plan is None else "fits"
    return (
        name,
        state,
        found.location,
        str(found.nodes),
        found.kubernetes_version,
        f"differs: {'; '.join(lines)}" if lines else fits,
    )
