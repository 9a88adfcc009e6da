"""What Azure says when it refuses, in weir's words. Pure.

Sources of the codes: the Azure Resource Manager and AKS troubleshooting pages, and the error codes
of Microsoft Entra ID (AADSTS).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weir.azure.roles import role_for
from weir.errors import PermanentError, TemporaryError, WeirError
from weir.spec.text import printable

LONGEST_WORDS = 600
_SIGNATURE = re.compile(r"(?i)\b(sig|sv|se|code|client_secret|client_assertion)=[^&\s\"']+")
_BEARER = re.compile(r"(?i)bearer\s+[\w.~+/=-]+|eyJ[\w-]{10,}\.[\w-]+\.[\w-]*")


class AzureBusy(TemporaryError):
    """429 or 5xx, after it was asked again for as long as the caller had patience."""

    def __init__(
        self, reason: str, message: str, *, remedy: str, where: str = "", after_seconds: float = 1.0
    ) -> None:
        super().__init__(reason, message, remedy=remedy, where=where)
        self.retry_after_seconds = after_seconds


class AzureRefused(PermanentError):
    """A refusal. ``code`` is the service's own (``SkuNotAvailable``), ``status`` that of HTTP."""

    code = ""
    status = 0


@dataclass(frozen=True)
class Said:
    """An error as ARM and its like write it: ``code``, ``message``, and what lies beneath."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


@dataclass(frozen=True)
class _Known:
    reason: str
    remedy: str


_CODES: Mapping[str, _Known] = {
    "SubscriptionNotFound": _Known(
        "azure.subscription_missing",
        "Correct subscription_id; az account list shows those that this identity sees.",
    ),
    "ResourceGroupNotFound": _Known(
        "azure.resource_group_missing",
        "Correct resource_group, or make it: az group create --name GROUP --location REGION.",
    ),
    "ResourceNotFound": _Known(
        "azure.resource_missing", "Correct its name, resource group and subscription."
    ),
    "InvalidAuthenticationTokenTenant": _Known(
        "azure.tenant_wrong",
        "Set tenant_id to the tenant of the subscription: az account show --query tenantId.",
    ),
    "SkuNotAvailable": _Known(
        "azure.sku_not_in_region",
        "Choose another vm_size or location: az vm list-skus --location REGION --size SIZE shows"
        " what there is.",
    ),
    "QuotaExceeded": _Known(
        "azure.quota",
        "Ask for more vCPUs (Azure portal, Quotas), or choose fewer or smaller nodes.",
    ),
    "RequestDisallowedByPolicy": _Known(
        "azure.policy_denied",
        "Give what the policy wants (often tags, a region or a private cluster), or have an"
        " exemption made.",
    ),
    "ServiceCidrOverlap": _Known(
        "azure.cidr_overlap",
        "Choose a service_cidr, with dns_service_ip inside it, that no subnet of the virtual"
        " network overlaps.",
    ),
    "NameTaken": _Known("azure.name_taken", "Choose another name."),
    "OperationNotAllowed": _Known(
        "azure.busy_resource", "Wait until the operation under way has ended, then run again."
    ),
    "MissingSubscriptionRegistration": _Known(
        "azure.provider_not_registered",
        "Register the resource provider: az provider register --namespace"
        " Microsoft.ContainerService.",
    ),
    "InvalidResourceLocation": _Known(
        "azure.name_taken", "Choose another name, or the region in which it is already."
    ),
    "K8sVersionNotSupported": _Known(
        "azure.kubernetes_version",
        "Choose a version that the region has: az aks get-versions --location REGION.",
    ),
    "SubnetIsFull": _Known("azure.subnet_full", "Choose a larger subnet, or fewer nodes."),
    "AKSCapacityError": _Known(
        "azure.no_capacity",
        "The region has no room for it now: choose another region or vm_size, or try later.",
    ),
}

_ALIASES: Mapping[str, str] = {
    "ErrCode_InsufficientVCPUQuota": "QuotaExceeded",
    "InsufficientVCPUQuota": "QuotaExceeded",
    "InsufficientQuota": "QuotaExceeded",
    "VMSizeNotSupported": "SkuNotAvailable",
    "AvailabilityZoneNotSupported": "SkuNotAvailable",
    "ServiceCidrOverlapExistingSubnetsCidr": "ServiceCidrOverlap",
    "PodCidrOverlapExistingSubnetsCidr": "ServiceCidrOverlap",
    "ServiceCidrConflict": "ServiceCidrOverlap",
    "AllocationFailed": "AKSCapacityError",
    "ZonalAllocationFailed": "AKSCapacityError",
    "OverconstrainedAllocationRequest": "AKSCapacityError",
    "AKSCapacityHeavyUsage": "AKSCapacityError",
    "InsufficientSubnetSize": "SubnetIsFull",
    "RequestDisallowedByAzure": "RequestDisallowedByPolicy",
    "PreconditionFailed": "OperationNotAllowed",
    "InvalidTenant": "InvalidAuthenticationTokenTenant",
    "AlreadyExists": "NameTaken",
    "NameNotAvailable": "NameTaken",
    "DnsRecordInUse": "NameTaken",
    "DnsPrefixInUse": "NameTaken",
    "ConflictingConcurrentWriteNotAllowed": "OperationNotAllowed",
    "EtagMismatch": "OperationNotAllowed",
    "K8sVersionNotSupported": "K8sVersionNotSupported",
    "AgentPoolK8sVersionNotSupported": "K8sVersionNotSupported",
    "UnsupportedKubernetesVersion": "K8sVersionNotSupported",
}

_ROLES = ("AuthorizationFailed", "LinkedAuthorizationFailed", "InsufficientAccessError")

_SIGN_IN: Mapping[str, _Known] = {
    "AADSTS7000222": _Known(
        "azure.secret_expired",
        "Make a new client secret (az ad app credential reset --id APPLICATION) and save it in the"
        " block.",
    ),
    "AADSTS7000215": _Known(
        "azure.secret_wrong",
        "Save the secret's value in the block; its id is something else.",
    ),
    "AADSTS700016": _Known(
        "azure.application_unknown",
        "Correct client_id and tenant_id: the tenant has no such application.",
    ),
    "AADSTS90002": _Known("azure.tenant_wrong", "Correct tenant_id: there is no such tenant."),
    "AADSTS900023": _Known("azure.tenant_wrong", "Correct tenant_id: there is no such tenant."),
    # What the identity library says of an authority that knows of no such tenant.
    "Unable to get authority configuration": _Known(
        "azure.tenant_wrong", "Correct tenant_id: there is no such tenant."
    ),
    "AADSTS700027": _Known(
        "azure.certificate_wrong",
        "Upload the certificate to the application, or correct certificate_path.",
    ),
    "AADSTS70021": _Known(
        "azure.federation_missing",
        "Add a federated credential for this cluster's issuer and service account to the identity.",
    ),
}


def refusal(
    status: int,
    body: str,
    doing: str,
    where: str,
    *,
    correlation_id: str = "",
    after_seconds: float = 1.0,
) -> WeirError:
    """The error for an answer of 4xx or 5xx. ``doing`` is what was asked for, as a verb phrase."""
    said = parse(body)
    told = _told(said, status, correlation_id)
    if status == 429 or status >= 500:
        kind = "azure.throttled" if status == 429 else "azure.unavailable"
        return AzureBusy(
            kind,
            f"Azure could not {doing}: {told}.",
            remedy="It was asked again and again; run again later.",
            where=where,
            after_seconds=after_seconds,
        )
    if said.code in _ROLES or status == 403:
        return _as_refused(_role_missing(said, doing, where, told), said, status)
    known = known_code(said)
    if known is None and status == 401:
        known = _Known(
            "azure.unauthorized",
            "See that tenant_id is the subscription's own, and sign in again.",
        )
    if known is None and status == 404:
        known = _CODES["ResourceNotFound"]
    known = known or _Known("azure.refused", "Correct what the words point at.")
    error = AzureRefused(
        known.reason, f"Azure refused to {doing}: {told}.", remedy=known.remedy, where=where
    )
    return _as_refused(error, said, status)


def operation_failed(said: Said, doing: str, where: str, correlation_id: str = "") -> AzureRefused:
    """The error for an operation that was accepted, and came to nothing."""
    known = known_code(said) or _Known(
        "azure.operation_failed",
        "Correct what the words point at; running again goes on from what there is.",
    )
    told = _told(said, 0, correlation_id)
    error = AzureRefused(
        known.reason, f"Azure could not {doing}: {told}.", remedy=known.remedy, where=where
    )
    error.code = said.code
    return error


def known_code(said: Said) -> _Known | None:
    """What weir knows of the code, or of one that the message tells."""
    # Compute calls a quota that is used up by the code of an operation that has to wait.
    if said.code == "OperationNotAllowed" and "quota" in said.message.lower():
        return _CODES["QuotaExceeded"]
    for code in (said.code, *re.findall(r"\b[A-Z][A-Za-z0-9_]+\b", said.message)):
        found = _CODES.get(_ALIASES.get(code, code))
        if found is not None:
            return found
    return None


def not_signed_in(message: str, where: str, *, is_unavailable: bool = False) -> WeirError:
    """No token: the identity library's ``message`` says why."""
    words = quoted(message)
    for code, known in _SIGN_IN.items():
        if re.search(rf"\b{code}\b", message):
            return PermanentError(
                known.reason,
                f"the Azure identity was refused: {_first_sentence(words, code)}.",
                remedy=known.remedy,
                where=where,
            )
    if "AADSTS" not in message and not is_unavailable and _is_network(message):
        return TemporaryError(
            "azure.sign_in_unreachable",
            f"the Azure sign-in service cannot be reached: {words}.",
            remedy="See that this machine reaches the authority's address; then run again.",
            where=where,
        )
    remedy = (
        "Sign in (az login), or save an identity in the platform block."
        if is_unavailable
        else "Correct the identity in the platform block."
    )
    return PermanentError(
        "azure.not_signed_in",
        f"no Azure identity could be used: {words.rstrip('.')}.",
        remedy=remedy,
        where=where,
    )


def parse(body: str) -> Said:
    """The innermost code that says something, and the words; the text itself if it is no JSON."""
    try:
        found = json.loads(body)
    except ValueError:
        return Said("", quoted(body))
    if isinstance(found, dict) and isinstance(found.get("errors"), list) and found["errors"]:
        # A registry's own API.
        return said_in(found["errors"][0])
    return said_in(found.get("error", found) if isinstance(found, dict) else {})


def said_in(error: Any) -> Said:
    """An ARM error object. A code of weir's acquaintance beneath goes before the outer one."""
    if isinstance(error, str):
        return Said("", quoted(error))
    if not isinstance(error, dict):
        return Said("", "no words")
    outer = Said(str(error.get("code") or ""), quoted(str(error.get("message") or "")))
    inner = [*(error.get("details") or ()), error.get("innererror"), error.get("innerError")]
    for one in inner:
        if isinstance(one, dict) and (one.get("code") or one.get("message")):
            beneath = said_in(one)
            if known_code(beneath) is not None or not outer.message:
                return beneath
    return outer


def quoted(text: str) -> str:
    """Azure's words on one line, cut, and without what may be a secret."""
    line = printable(" ".join(text.split()))
    line = _BEARER.sub("***", _SIGNATURE.sub(lambda found: f"{found[1]}=***", line))
    return line if len(line) <= LONGEST_WORDS else f"{line[: LONGEST_WORDS - 3]}..."


def _told(said: Said, status: int, correlation_id: str) -> str:
    words = str(said).rstrip(". ") or f"status {status} without words"
    return f"{words} (correlation id {correlation_id})" if correlation_id else words


def _as_refused(error: AzureRefused, said: Said, status: int) -> AzureRefused:
    error.code, error.status = said.code, status
    return error


def _role_missing(said: Said, doing: str, where: str, told: str) -> AzureRefused:
    message = said.message
    action = _found(r"action '([^']+)'", message) or _found(r"permission[^']*'([^']+)'", message)
    scope = _found(r"scope '([^']+)'", message) or "SCOPE"
    who = _found(r"object id '([^']+)'", message) or "OBJECT_ID"
    role = role_for(action)
    return AzureRefused(
        "azure.role_missing",
        f"the Azure identity may not {doing}: {told}.",
        remedy=f'Give it the role: az role assignment create --assignee {who} --role "{role}"'
        f" --scope {scope} (it may take some minutes to hold).",
        where=where,
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


def _first_sentence(words: str, code: str) -> str:
    start = words.find(code)
    sentence = re.split(r"(?<=[.!])\s|\s(?=Trace ID|Correlation ID)", words[start:])[0]
    return sentence.rstrip(". ")


def _is_network(message: str) -> bool:
    words = ("connect", "resolve", "timed out", "timeout", "certificate", "reset", "unreachable")
    return any(word in message.lower() for word in words)
