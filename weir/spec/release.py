"""The release file as a value."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from weir.spec.base import DAY_SECONDS, LARGEST_COUNT, Part
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference
from weir.spec.rollout import RolloutPolicy

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class EndpointSpec(Part):
    """The endpoint that the version is released to; created when it does not exist."""

    name: Name = Field(..., description="Name of the endpoint.")
    port: int | None = Field(
        None, gt=0, lt=65_536, description="Port on this machine; a free one when unset."
    )
    auth_enabled: bool | None = Field(
        None,
        description="Callers need a key. Unset leaves the endpoint as it is; a new one wants keys.",
    )


class ModelSpec(Part):
    """The model to release: a file or folder, or a version in the model registry."""

    name: Name = Field(..., description="Name of the model.")
    version: str = Field(
        ..., min_length=1, max_length=63, description="Version, for example 2 or latest."
    )
    path: str | None = Field(
        None,
        description="File or folder, relative to the release file; unset asks the registry.",
    )

    @field_validator("version", mode="before")
    @classmethod
    def _number_is_a_version(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class CheckSpec(Part):
    """Sample inputs that are scored on the new version alone, before it gets any traffic."""

    samples: str | None = Field(
        None, description="NDJSON file, one request body a line, relative to the release file."
    )
    maximum_failures: int = Field(0, ge=0, le=LARGEST_COUNT, description="Samples that may fail.")
    maximum_latency_ms: float | None = Field(
        None, gt=0, le=DAY_SECONDS * 1000, description="Slowest answer allowed."
    )


class ReleaseSpec(Part):
    """One model version, one endpoint, one rollout policy."""

    endpoint: EndpointSpec = Field(
        ..., description="Where the version is released to; a name alone will do."
    )
    version_name: Name = Field(..., description="Name of the version behind the endpoint.")
    model: ModelSpec = Field(..., description="What is released.")
    inference: Inference = Field(..., description="How it is served.")
    deployment: Deployment = Field(default_factory=Deployment, description="How it is deployed.")
    check: CheckSpec = Field(
        default_factory=CheckSpec, description="What it has to score before it gets any traffic."
    )
    rollout: RolloutPolicy = Field(
        default_factory=RolloutPolicy, description="How its traffic grows, and on what evidence."
    )

    @field_validator("endpoint", mode="before")
    @classmethod
    def _name_alone_is_an_endpoint(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
