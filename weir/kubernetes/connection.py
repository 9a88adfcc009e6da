"""How the API server is reached: a kubeconfig, one of its contexts, or the pod's own account."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from weir.errors import UserError

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Access:
    """``kubeconfig_text`` goes before ``kubeconfig``, a path; without both the usual places count,
    and in a pod without those its own account.

    ``context`` is the kubeconfig's current one when empty. ``in_cluster`` takes the account of the
    pod that weir runs in. Never shown: a kubeconfig holds credentials.
    """

    kubeconfig_text: str = field(default="", repr=False)
    kubeconfig: str = ""
    context: str = ""
    in_cluster: bool = False


def connect(access: Access) -> client.ApiClient:
    """A client of the official library; nothing is asked of the server yet.

    Raises UserError ``kubernetes.kubeconfig``.
    """
    chosen = client.Configuration()
    try:
        if access.in_cluster or _is_in_a_pod(access):
            config.load_incluster_config(client_configuration=chosen)
        elif access.kubeconfig_text:
            config.load_kube_config_from_dict(
                _parsed(access.kubeconfig_text),
                context=access.context or None,
                client_configuration=chosen,
                persist_config=False,
            )
        else:
            path = str(Path(access.kubeconfig).expanduser()) if access.kubeconfig else None
            config.load_kube_config(
                path,
                context=access.context or None,
                client_configuration=chosen,
                persist_config=False,
            )
    except (config.ConfigException, OSError) as error:
        raise _unusable(access, str(error)) from None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError):
        raise _unusable(access, "it is not a kubeconfig") from None
    # weir decides itself what is tried again, and for how long.
    chosen.retries = False
    return client.ApiClient(chosen)


def _is_in_a_pod(access: Access) -> bool:
    """Whether nothing was chosen, and the only cluster there can be is the pod's own."""
    chosen = access.kubeconfig_text or access.kubeconfig or access.context
    usual = os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").exists()
    return not (chosen or usual) and "KUBERNETES_SERVICE_HOST" in os.environ


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError("not YAML") from None
    if not isinstance(found, dict):
        raise ValueError("not a mapping")
    return found


def _unusable(access: Access, why: str) -> UserError:
    where = "in-cluster account" if access.in_cluster else access.kubeconfig or "kubeconfig"
    return UserError(
        "kubernetes.kubeconfig",
        f"the cluster's credentials cannot be used: {why.rstrip('.')}.",
        remedy="Correct kubeconfig and context in the platform block; az aks get-credentials"
        " writes one.",
        where=where,
    )
