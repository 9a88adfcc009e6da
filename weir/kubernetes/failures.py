"""What a connection that failed says of itself. Pure."""

from __future__ import annotations

import ssl

import urllib3

_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def beneath(error: BaseException) -> urllib3.exceptions.HTTPError | None:
    """The failure of the connection in whose handling ``error`` came up."""
    context: BaseException | None = error
    while context is not None and not isinstance(context, urllib3.exceptions.HTTPError):
        context = context.__context__
    return context


def in_tls(error: BaseException) -> str | None:
    """What TLS objects to; None where it was something else, a broken connection perhaps."""
    for one in (error, getattr(error, "reason", None), *error.args):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"the server's certificate is refused, {one.verify_message}"
        if isinstance(one, ssl.SSLError) and not isinstance(one, _BROKEN_OFF):
            return str(one.reason or one).replace("_", " ").lower()
    return None


def kind_of_failure(error: Exception) -> str:
    """The failure without the request, which may hold credentials."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return kind_of_failure(reason)
    name = type(error).__name__
    return name.removesuffix("Error").removesuffix("Exception") or name
