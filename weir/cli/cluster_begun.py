"""A cluster that a command was asked for: begun, saved, and waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from weir.cli.cluster_words import differs
from weir.cli.output import escape, out
from weir.cli.waiting import told_what_is_awaited

if TYPE_CHECKING:
    from weir.azure.clusters import AzureClusters


def bring_about(
    name: str, clusters: AzureClusters, save: Callable[[], object], *, no_wait: bool
) -> None:
    """``save`` what is called ``name`` once its cluster is begun, and wait unless ``no_wait``.

    Raises UserError ``cluster.differs`` for one that is there and not as planned; it is left alone.
    """
    with told_what_is_awaited() as say:
        # Before it is started, even.
        present = clusters.aks.find()
        if present is not None and present.is_settled and (lines := clusters.differences(present)):
            raise differs(name, lines)
        found = clusters.begin(say)
    save()
    if found is None:
        _tell_begun(clusters)
    if no_wait:
        out.print(f"saved as weir-azure-cluster/{name}; wait for it: weir cluster wait {name}")
        return
    with told_what_is_awaited() as say:
        clusters.ensure(say)
        made = clusters.aks.find()
    for line in clusters.differences(made) if made is not None else ():
        out.print(escape(f"{name} is not as planned: {line}"))
    tell_ready(name)


def tell_ready(name: str) -> None:
    out.print(f"{name} is ready: weir release FILE --platform weir-azure-cluster/{name}")


def _tell_begun(clusters: AzureClusters) -> None:
    work = clusters.provisioning.under_way
    if work is not None:
        out.print(
            f"Azure is about to {work.doing} {clusters.aks.target.name}, which usually takes about"
            f" {work.usual_minutes} min; Ctrl-C stops waiting, and nothing else"
        )
