"""What the API server's refusals mean for the caller. Pure: a status and a body become an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from weir.errors import PermanentError, TemporaryError, WeirError
from weir.spec.text import printable

LONGEST_MESSAGE = 500

_FIELD_CONFLICT = "FieldManagerConflict"
_MANAGER = re.compile(r'conflict with "(?P<manager>[^"]+)"')


class Conflict(TemporaryError):
    """The object was changed, or made by somebody else, since it was read."""


class SignedOut(TemporaryError):
    """Credentials that were good before are not accepted; they may be renewed."""


class Gone(TemporaryError):
    """A watch asked for a past that the API server has forgotten; list anew."""


class FieldConflict(PermanentError):
    """Somebody else owns a field that weir was to set. ``managers`` are their names."""

    def __init__(
        self, reason: str, message: str, *, remedy: str, where: str = "", managers: str = ""
    ) -> None:
        super().__init__(reason, message, remedy=remedy, where=where)
        self.managers = managers


def refusal(status: int, body: str, doing: str, where: str, *, is_added: bool = False) -> WeirError:
    """The error for an answer that is not 2xx.

    ``doing`` is the attempt in words ("apply Deployment fraud--v2"), ``where`` the cluster and the
    namespace. ``is_added``: not every cluster knows this kind of object. The message is the
    server's own, which never quotes a Secret's data.

    That something is missing, or was changed meanwhile, is believed of the API server alone, not
    of whatever stands before it.
    """
    answer = _status_object(body)
    is_servers_own = answer.get("kind") == "Status"
    message = _cut(str(answer.get("message") or body or "no reason given"))
    reason = str(answer.get("reason") or "")
    causes = _causes(answer)
    match status:
        case 401:
            return PermanentError(
                "kubernetes.unauthorized",
                f"the cluster does not accept the credentials: {message}.",
                remedy="They may have expired: sign in again (az login, kubelogin), or renew the"
                " kubeconfig of the platform block.",
                where=where,
            )
        case 403:
            return _forbidden(message, causes, doing, where)
        case 404 if is_servers_own and reason == "NotFound":
            return _missing(message, doing, where)
        case 404 if is_added and message.startswith("404 page not found"):
            return _unknown_kind(doing, where)
        case 404:
            return _strange(status, message, doing, where)
        case 409 if not is_servers_own:
            return _strange(status, message, doing, where)
        case 409:
            conflicts = [one for one in causes if one.get("reason") == _FIELD_CONFLICT]
            return (
                _field_conflict(conflicts, doing, where) if conflicts else _conflict(doing, where)
            )
        case 410:
            return Gone("kubernetes.gone", f"{doing}: {message}.", remedy="List anew.", where=where)
        case 408 | 429:
            return _failing(status, "kubernetes.busy", reason, message, doing, where)
        case _ if 400 <= status < 500:
            return PermanentError(
                "kubernetes.invalid",
                f"the cluster refuses to {doing}: {message}.",
                remedy="Correct the field it names, in the release file or the platform block.",
                where=where,
            )
        case _:
            return _failing(status, "kubernetes.failing", reason, message, doing, where)


def untrusted(why: str, doing: str, where: str) -> PermanentError:
    """The API server is not who it should be, or the client is not to it."""
    return PermanentError(
        "kubernetes.certificate",
        f"no trusted connection to {doing}: {_cut(why)}.",
        remedy="Take the kubeconfig of this very cluster (its certificate-authority, and client"
        " certificates that have not expired); on AKS: az aks get-credentials.",
        where=where,
    )


def signed_out(doing: str, where: str) -> SignedOut:
    """Credentials that this process has had answers by are not accepted any more."""
    return SignedOut(
        "kubernetes.unauthorized",
        f"the cluster does not accept the credentials to {doing} any more.",
        remedy="They are loaded anew; if it stays, sign in again (az login, kubelogin).",
        where=where,
    )


def unreachable(why: str, doing: str, where: str) -> TemporaryError:
    """The API server gave no answer."""
    return TemporaryError(
        "kubernetes.unreachable",
        f"the API server gave no answer to {doing}: {_cut(why)}.",
        remedy="See that the cluster runs and can be reached from here, then run again: weir goes"
        " on where it was.",
        where=where,
    )


def _failing(
    status: int, code: str, reason: str, message: str, doing: str, where: str
) -> TemporaryError:
    named = f"{status} {reason}".strip()
    return TemporaryError(
        code,
        f"the API server answered {named} to {doing}: {message}.",
        remedy="Run again; if it stays, look at the cluster's control plane.",
        where=where,
    )


def _forbidden(
    message: str, causes: Sequence[Mapping[str, Any]], doing: str, where: str
) -> WeirError:
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return PermanentError(
            "kubernetes.namespace_terminating",
            f"cannot {doing}: the namespace is being deleted.",
            remedy="Wait until it is gone, then release again; or choose another namespace in the"
            " platform block.",
            where=where,
        )
    if "exceeded quota" in message:
        return PermanentError(
            "kubernetes.quota_exceeded",
            f"cannot {doing}: {message}.",
            remedy="Raise the quota of the namespace, or remove what is not needed there.",
            where=where,
        )
    return PermanentError(
        "kubernetes.forbidden",
        f"weir may not {doing}: {message}.",
        remedy="Give its account the Role in deployments/kubernetes/rbac.yaml.",
        where=where,
    )


def _missing(message: str, doing: str, where: str) -> WeirError:
    if "could not find the requested resource" in message:
        return _unknown_kind(doing, where)
    if message.startswith("namespaces "):
        return PermanentError(
            "kubernetes.namespace_missing",
            f"cannot {doing}: {message}.",
            remedy="Make the namespace, or set create_namespace in the platform block.",
            where=where,
        )
    return PermanentError(
        "kubernetes.missing",
        f"cannot {doing}: {message}.",
        remedy="Release again: weir makes what is missing.",
        where=where,
    )


def _unknown_kind(doing: str, where: str) -> WeirError:
    return PermanentError(
        "kubernetes.no_gateway_api",
        f"cannot {doing}: the cluster does not know this kind of object.",
        remedy="Install the Gateway API (standard channel); on AKS: az aks update"
        " --enable-gateway-api.",
        where=where,
    )


def _strange(status: int, message: str, doing: str, where: str) -> TemporaryError:
    return TemporaryError(
        "kubernetes.not_the_server",
        f"{status} to {doing}, and not in the API server's words: {message}.",
        remedy="Something before the API server answers in its place, a proxy or a load balancer"
        " perhaps; see to it, then run again.",
        where=where,
    )


def _field_conflict(causes: Sequence[Mapping[str, Any]], doing: str, where: str) -> FieldConflict:
    by_manager: dict[str, list[str]] = {}
    for cause in causes:
        found = _MANAGER.search(str(cause.get("message", "")))
        manager = found["manager"] if found else "another manager"
        by_manager.setdefault(manager, []).append(str(cause.get("field", "?")))
    words = "; ".join(
        f"{printable(manager)} owns {', '.join(fields)}" for manager, fields in by_manager.items()
    )
    return FieldConflict(
        "kubernetes.field_conflict",
        f"cannot {doing}: {_cut(words)}.",
        remedy="Leave the field to one of both: undo the other's change, or have weir take it back"
        " with weir resume.",
        where=where,
        managers=", ".join(printable(manager) for manager in by_manager),
    )


def _conflict(doing: str, where: str) -> Conflict:
    return Conflict(
        "kubernetes.conflict",
        f"cannot {doing}: somebody else changed it at the same time.",
        remedy="Run the command again.",
        where=where,
    )


def _causes(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    details = answer.get("details")
    found = details.get("causes") if isinstance(details, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _status_object(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _cut(message: str) -> str:
    text = printable(message.strip().rstrip("."))
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
