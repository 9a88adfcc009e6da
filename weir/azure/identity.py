"""Who asks Azure: one of the ways to sign in, as a credential of azure-identity."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from weir import __version__
from weir.azure.cloud import Cloud
from weir.azure.refusals import not_signed_in
from weir.errors import UserError

USER_AGENT = f"weir/{__version__}"

# What the library warns of is in the error as well; without a handler it would stand on stderr.
logging.getLogger("azure").addHandler(logging.NullHandler())


class SignIn(StrEnum):
    DEFAULT = "default"
    SECRET = "secret"
    CERTIFICATE = "certificate"
    MANAGED_IDENTITY = "managed-identity"
    WORKLOAD_IDENTITY = "workload-identity"


_NEEDED: dict[SignIn, tuple[str, ...]] = {
    SignIn.SECRET: ("tenant_id", "client_id", "client_secret"),
    SignIn.CERTIFICATE: ("tenant_id", "client_id", "certificate_path"),
}

_FIELDS = {
    **dict.fromkeys(SignIn, "tenant_id"),
    SignIn.CERTIFICATE: "certificate_path",
}
_UNUSABLE = {
    **dict.fromkeys(SignIn, "tenant_id or client_id is none, or the environment lacks them"),
    SignIn.CERTIFICATE: "the certificate file has to be PEM or PFX with an RSA key, and"
    " certificate_password has to open it",
}


@dataclass(frozen=True)
class Identity:
    """One way to sign in. ``repr`` shows nothing secret.

    ``default`` tries environment, workload identity, managed identity and the Azure CLI in turn.
    ``secret`` and ``certificate`` are a service principal's; ``certificate_path`` is a PEM or PFX
    file with the private key. ``managed-identity`` is the system's own unless ``client_id`` names
    one; ``workload-identity`` takes what is empty from the pod's environment.
    """

    sign_in: SignIn = SignIn.DEFAULT
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    certificate_path: str = ""
    certificate_password: str = field(default="", repr=False)
    token_file: str = ""

    def require_complete(self) -> None:
        """Raises UserError ``azure.identity`` for fields that are missing."""
        missing = [name for name in _NEEDED.get(self.sign_in, ()) if not getattr(self, name)]
        if missing:
            raise _incomplete(f"sign_in {self.sign_in} needs {' and '.join(missing)}", missing[0])
        path = self.certificate_path
        if self.sign_in is SignIn.CERTIFICATE and not Path(path).expanduser().is_file():
            raise _incomplete(f"there is no certificate file {path}", "certificate_path")


def credential(identity: Identity, cloud: Cloud) -> TokenCredential:
    """A credential; asks for nothing yet. Raises UserError ``azure.identity``."""
    identity.require_complete()
    common: dict[str, Any] = {"user_agent": USER_AGENT, "connection_verify": cloud.verify}
    at_authority = {**common, "authority": cloud.authority}
    if not cloud.is_known:
        at_authority["disable_instance_discovery"] = True
    client_id = identity.client_id or None
    try:
        match identity.sign_in:
            case SignIn.DEFAULT:
                return DefaultAzureCredential(
                    managed_identity_client_id=client_id,
                    workload_identity_client_id=client_id,
                    **at_authority,
                )
            case SignIn.SECRET:
                return ClientSecretCredential(
                    identity.tenant_id, identity.client_id, identity.client_secret, **at_authority
                )
            case SignIn.CERTIFICATE:
                return CertificateCredential(
                    identity.tenant_id,
                    identity.client_id,
                    str(Path(identity.certificate_path).expanduser()),
                    password=identity.certificate_password or None,
                    **at_authority,
                )
            case SignIn.MANAGED_IDENTITY:
                return ManagedIdentityCredential(client_id=client_id, **common)
            case SignIn.WORKLOAD_IDENTITY:
                given = {
                    "tenant_id": identity.tenant_id,
                    "client_id": identity.client_id,
                    "token_file_path": identity.token_file,
                }
                known = {name: value for name, value in given.items() if value}
                return WorkloadIdentityCredential(**known, **at_authority)
    except ValueError:
        # The library's words may quote what was given.
        raise _incomplete(_UNUSABLE[identity.sign_in], _FIELDS[identity.sign_in]) from None


def token(credential: TokenCredential, scope: str, where: str) -> str:
    """A bearer token, from the credential's own cache while it is good.

    Raises PermanentError ``azure.*``, TemporaryError ``azure.sign_in_unreachable``.
    """
    try:
        return credential.get_token(scope).token
    except CredentialUnavailableError as error:
        raise not_signed_in(str(error.message), where, is_unavailable=True) from None
    except AzureError as error:
        raise not_signed_in(str(error.message), where) from None


def _incomplete(why: str, where: str) -> UserError:
    return UserError(
        "azure.identity",
        f"the Azure identity cannot be used: {why}.",
        remedy="Complete the block's identity, or choose another sign_in.",
        where=where,
    )
