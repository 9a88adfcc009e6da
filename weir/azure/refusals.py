"""What Azure says when it refuses, in weir's words. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from weir.azure.known_codes import CODES, SIGN_IN, Known, known_code
from weir.azure.roles import role_for
from weir.azure.said import Said, quoted
from weir.errors import PermanentError, TemporaryError, WeirError

_ROLES = ("AuthorizationFailed", "LinkedAuthorizationFailed", "InsufficientAccessError")
_GENERAL = ("BadArgumentError", "BadRequest", "General_BadRequest")
"""Codes that say nothing: what they are about lies beneath."""


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
    is_about_the_token = said.code.startswith("InvalidAuthentication")
    known = known_code(said)
    is_a_role = status == 403 and not is_about_the_token and known is None
    if said.code in _ROLES or is_a_role:
        return _as_refused(_role_missing(said, doing, where, told), said, status)
    if known is None and (status == 401 or is_about_the_token):
        known = Known(
            "azure.unauthorized",
            "See that tenant_id is the subscription's own, and sign in again.",
        )
    if known is None and status == 404:
        known = CODES["ResourceNotFound"]
    known = known or Known("azure.refused", "Correct what the words point at.")
    error = AzureRefused(
        known.reason, f"Azure refused to {doing}: {told}.", remedy=known.remedy, where=where
    )
    return _as_refused(error, said, status)


def operation_failed(said: Said, doing: str, where: str, correlation_id: str = "") -> AzureRefused:
    """The error for an operation that was accepted, and came to nothing."""
    known = known_code(said) or Known(
        "azure.operation_failed",
        "Correct what the words point at; running again goes on from what there is.",
    )
    told = _told(said, 0, correlation_id)
    error = AzureRefused(
        known.reason, f"Azure could not {doing}: {told}.", remedy=known.remedy, where=where
    )
    error.code = said.code
    return error


def not_signed_in(message: str, where: str, *, is_unavailable: bool = False) -> WeirError:
    """No token: the identity library's ``message`` says why."""
    words = quoted(message)
    for code, known in SIGN_IN.items():
        if re.search(rf"\b{code}\b", message):
            return PermanentError(
                known.reason,
                f"the Azure identity was refused: {_first_sentence(words, code)}.",
                remedy=known.remedy,
                where=where,
            )
    # The chain of the environment's ways to sign in quotes each of them, at length.
    if message.startswith("DefaultAzureCredential failed"):
        is_unavailable = True
        words = "neither variables, a workload's or a managed identity, nor az login give one"
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
            says_more = outer.code in _GENERAL or not outer.message
            if known_code(beneath) is not None or (says_more and beneath.message):
                return beneath
    return outer


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


def untrusted(doing: str, where: str) -> PermanentError:
    """The error for a server whose certificate nobody here trusts."""
    return PermanentError(
        "azure.untrusted",
        f"the server's certificate is refused; weir did not {doing}.",
        remedy="Behind a proxy that opens TLS, set ca_bundle in the platform block (or"
        " REQUESTS_CA_BUNDLE) to its certificates.",
        where=where,
    )


def silent(error: BaseException, doing: str, where: str, correlation_id: str) -> AzureBusy:
    """The error for a connection that failed; without the address, which may hold a permission."""
    kind = type(error).__name__.removesuffix("Error")
    return AzureBusy(
        "azure.unreachable",
        f"Azure cannot be reached to {doing}: {kind} (correlation id {correlation_id}).",
        remedy="See that this machine reaches the host; then run again.",
        where=where,
    )
