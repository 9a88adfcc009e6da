"""Who signs in to Azure, saved in Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr, model_validator

if TYPE_CHECKING:
    from weir.azure.identity import Identity


class AzureIdentity(Block):
    """Who asks Azure. Without a block of this kind weir signs in as the environment allows."""

    model_config = ConfigDict(extra="forbid")

    _block_type_name = "weir Azure Identity"
    _block_type_slug = "weir-azure-identity"
    _description = "How weir signs in to Azure. Secrets are kept as Prefect keeps secrets."

    sign_in: Literal[
        "default", "secret", "certificate", "managed-identity", "workload-identity"
    ] = Field(
        default="default",
        title="Sign-in",
        description="default tries environment, workload identity, managed identity and az login.",
    )
    tenant_id: str = Field(default="", title="Tenant")
    client_id: str = Field(
        default="", title="Client", description="Application, or user-assigned identity."
    )
    client_secret: SecretStr = Field(default=SecretStr(""), description="For sign-in secret.")
    certificate_path: str = Field(
        default="", description="PEM or PFX with its key, as the worker sees it."
    )
    certificate_password: SecretStr = Field(default=SecretStr(""))
    token_file: str = Field(
        default="", description="For workload-identity; the pod's own when empty."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_its_type(cls, given: Any) -> Any:
        """Prefect writes the type of a block beside its fields where another block holds it."""
        key = "block_type_slug"
        if isinstance(given, dict) and given.get(key) == cls.get_block_type_slug():
            return {name: value for name, value in given.items() if name != key}
        return given

    def identity(self) -> Identity:
        from weir.azure.identity import Identity, SignIn

        return Identity(
            sign_in=SignIn(self.sign_in),
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            client_secret=self.client_secret.get_secret_value(),
            certificate_path=self.certificate_path,
            certificate_password=self.certificate_password.get_secret_value(),
            token_file=self.token_file,
        )
