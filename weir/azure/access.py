"""How the API server of an AKS cluster is signed in to: by Entra ID, or as its administrator."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Any

import yaml
from azure.core.credentials import TokenCredential
from kubernetes import client

from weir.azure import identity
from weir.azure.aks import Aks
from weir.azure.managed_cluster import Found
from weir.errors import PermanentError, PlatformMissing, WeirError
from weir.kubernetes.connection import Access, SignedIn, configuration

SERVER_SCOPE = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The application that every AKS API server with Entra ID takes tokens for, in every cloud."""

RENEWED_SECONDS = 60.0
"""So long a token is taken as it is, before the identity library is asked for one again: it has
its own memory, and renews what is about to expire."""


class AksAccess(StrEnum):
    """``aad`` shows a token of weir's own identity, where the cluster takes such; on a cluster
    without Entra ID its users' kubeconfig holds credentials, which are taken then. ``admin`` takes
    the administrator's kubeconfig, which a cluster without local accounts has not."""

    AAD = "aad"
    ADMIN = "admin"


def connect(aks: Aks, access: AksAccess) -> SignedIn:
    """A client of the cluster's API server. Azure is asked at its first call, and again whenever
    the server does not take the credentials any more.

    That call raises PlatformMissing ``cluster.missing`` where there is no such cluster, and
    ``cluster.not_ready`` where it is still being made, or stopped.
    """
    return SignedIn(partial(_configuration, aks, access), f"{aks.target.name} (AKS)")


def _configuration(aks: Aks, access: AksAccess) -> Any:
    given = _kubeconfig(aks, access)
    text, wants_token = _without_sign_in(given, aks)
    chosen = configuration(Access(kubeconfig_text=text))
    if wants_token:
        tokens = _Tokens(aks.asking.credential, aks.where)
        tokens.renew(chosen)
        chosen.refresh_api_key_hook = tokens.renew_quietly
    return chosen


class _Tokens:
    """Keeps the bearer token of one configuration good."""

    def __init__(self, credential: TokenCredential, where: str) -> None:
        self._credential, self._where = credential, where
        self._lock = threading.Lock()
        self._renewed_at = float("-inf")

    def renew(self, chosen: client.Configuration) -> None:
        """Raises what ``identity.token`` raises."""
        with self._lock:
            if time.monotonic() - self._renewed_at < RENEWED_SECONDS:
                return
            token = identity.token(self._credential, SERVER_SCOPE, self._where)
            chosen.api_key["authorization"] = f"Bearer {token}"
            self._renewed_at = time.monotonic()

    def renew_quietly(self, chosen: client.Configuration) -> None:
        """Before each request. What cannot be renewed is left to the server's word."""
        try:
            self.renew(chosen)
        except WeirError:
            return


def _kubeconfig(aks: Aks, access: AksAccess) -> str:
    found = aks.find()
    if found is None or not found.is_settled or not found.is_running:
        raise not_there(aks, found)
    try:
        return aks.kubeconfig(is_admin=access is AksAccess.ADMIN)
    except PermanentError as error:
        if access is AksAccess.ADMIN and "local account" in error.message.lower():
            raise PermanentError(
                "cluster.no_local_accounts",
                "the cluster has no administrator's account: local accounts are off.",
                remedy="Set access to aad in the platform block.",
                where=aks.where,
            ) from None
        raise


def not_there(aks: Aks, found: Found | None) -> PlatformMissing:
    """The error for a cluster that has no API server to be asked."""
    name = aks.target.name
    if found is None:
        return PlatformMissing(
            "cluster.missing",
            f"there is no AKS cluster {name}.",
            remedy="Make it with weir cluster create, or attach another one with weir cluster"
            " attach.",
            where=aks.where,
        )
    what = f"is not ready ({found.state})" if not found.is_settled else "is stopped"
    return PlatformMissing(
        "cluster.not_ready",
        f"the AKS cluster {name} {what}.",
        remedy="weir cluster create waits for it, and starts one that is stopped.",
        where=aks.where,
    )


def _without_sign_in(kubeconfig: str, aks: Aks) -> tuple[str, bool]:
    """The kubeconfig with only its own cluster and user, and whether a token has to be shown.

    A sign-in command in it is left out: weir signs in by itself.
    """
    try:
        found = yaml.safe_load(kubeconfig)
        context = _named(found["contexts"], found["current-context"])["context"]
        cluster = _named(found["clusters"], context["cluster"])["cluster"]
        user = dict(_named(found["users"], context["user"])["user"] or {})
    except (yaml.YAMLError, KeyError, TypeError, StopIteration, ValueError):
        raise PermanentError(
            "cluster.kubeconfig",
            "Azure's kubeconfig of the cluster cannot be used.",
            remedy="See what az aks get-credentials --format exec gives for it.",
            where=aks.where,
        ) from None
    wants_token = "exec" in user or "auth-provider" in user
    user = {name: value for name, value in user.items() if name not in ("exec", "auth-provider")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "aks", "cluster": cluster}],
        "users": [{"name": "weir", "user": user}],
        "contexts": [{"name": "aks", "context": {"cluster": "aks", "user": "weir"}}],
        "current-context": "aks",
    }
    return yaml.safe_dump(document), wants_token


def _named(entries: Any, name: str) -> Mapping[str, Any]:
    return next(one for one in entries if one["name"] == name)
