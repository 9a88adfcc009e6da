"""How a platform is named, on the command line and in a form."""

from __future__ import annotations

import difflib

from weir.errors import UserError

LOCAL = "local"
KUBERNETES = "kubernetes"
"""The cluster of a kubeconfig's current context, or of another: kubernetes:CONTEXT."""


def require_platform_name(reference: str) -> None:
    """Raises UserError ``platform.unknown`` for what can be no platform, before anybody is asked.

    A saved block has its type before a slash; whether it exists, only Prefect knows.
    """
    kind, colon, context = reference.partition(":")
    if reference == LOCAL or kind == KUBERNETES or "/" in kind:
        return
    near = difflib.get_close_matches(kind.lower(), (LOCAL, KUBERNETES), n=1)
    meant = f"{KUBERNETES}{colon}{context}" if KUBERNETES in near else LOCAL
    guess = f"; did you mean {meant}?" if near else "."
    raise UserError(
        "platform.unknown",
        f"there is no platform {reference or 'without a name'}{guess}",
        remedy="Use local, kubernetes (the kubeconfig's current context), kubernetes:CONTEXT, or a"
        " saved block as weir-kubernetes-cluster/NAME or weir-azure-cluster/NAME.",
        where="platform",
    )
