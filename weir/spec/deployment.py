"""How a version is deployed. Names and defaults are those of Azure ML's AksEndpoint."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from weir.spec.base import DAY_SECONDS, Part


class Probe(Part):
    """When a replica counts as alive."""

    period_seconds: float = Field(10, gt=0, le=DAY_SECONDS, description="Time between two probes.")
    initial_delay_seconds: float = Field(
        310,
        gt=0,
        le=DAY_SECONDS,
        description="Time after the start in which a failed probe does not count.",
    )
    timeout_seconds: float = Field(
        2, gt=0, le=DAY_SECONDS, description="How long an answer may take."
    )
    success_threshold: int = Field(
        1, gt=0, le=1000, description="Probes in a row that make a replica count as well again."
    )
    failure_threshold: int = Field(
        3, gt=0, le=1000, description="Failed probes in a row after which a replica is restarted."
    )


class Deployment(Part):
    """Resources, scale, limits and probes of one version."""

    num_replicas: int | None = Field(None, gt=0, le=1000, description="Fixed number of replicas.")
    autoscale_enabled: bool | None = Field(
        None, description="True unless num_replicas is given; never together with it."
    )
    autoscale_min_replicas: int = Field(1, gt=0, le=1000, description="Fewest replicas.")
    autoscale_max_replicas: int = Field(10, gt=0, le=1000, description="Most replicas.")
    autoscale_refresh_seconds: int = Field(
        1, gt=0, le=DAY_SECONDS, description="How often the autoscaler looks at the load."
    )
    autoscale_target_utilization: int = Field(
        70, gt=0, le=100, description="Share of a replica's concurrent requests to aim for."
    )
    cpu_cores: float = Field(0.1, gt=0, le=10_000, description="Reserved for each replica.")
    cpu_cores_limit: float | None = Field(
        None, gt=0, le=10_000, description="Most that a replica may use; at least cpu_cores."
    )
    memory_gb: float = Field(0.5, gt=0, le=100_000, description="Reserved for each replica.")
    memory_gb_limit: float | None = Field(
        None, gt=0, le=100_000, description="Most that a replica may use; at least memory_gb."
    )
    gpu_cores: int = Field(0, ge=0, le=1000, description="Graphics processors for each replica.")
    scoring_timeout_ms: int = Field(
        60_000, gt=0, le=DAY_SECONDS * 1000, description="Longer requests get 504."
    )
    replica_max_concurrent_requests: int = Field(
        1,
        gt=0,
        le=10_000,
        description="Requests that one replica takes at the same time. An entry script scores them"
        " one by one, unless WORKER_COUNT in environment_variables gives it more processes.",
    )
    max_request_wait_time: int = Field(
        500,
        gt=0,
        le=3_600_000,
        description="How long a request waits for a free replica; then it gets 503.",
    )
    liveness: Probe = Field(default_factory=Probe, description="When a replica counts as alive.")
    ready_timeout_seconds: float = Field(
        600, gt=0, le=DAY_SECONDS, description="How long the replicas may take to become ready."
    )
    retry_on_reset: bool = Field(
        True,
        description="Score again when a replica dies in mid-request; false if scoring twice harms.",
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Labels of your own.")
    properties: dict[str, str] = Field(
        default_factory=dict, description="Labels of your own that are never changed."
    )
    description: str = Field("", description="What this version is, for people.")

    @model_validator(mode="after")
    def _scale_is_one_thing(self) -> Self:
        if self.num_replicas is not None and self.autoscale_enabled:
            raise ValueError("num_replicas and autoscale_enabled: true exclude each other")
        if self.num_replicas is None and self.autoscale_enabled is False:
            raise ValueError("autoscale_enabled: false needs num_replicas")
        if self.autoscale_min_replicas > self.autoscale_max_replicas:
            raise ValueError("autoscale_min_replicas is greater than autoscale_max_replicas")
        return self

    @model_validator(mode="after")
    def _limits_cover_requests(self) -> Self:
        for name in ("cpu_cores", "memory_gb"):
            request, limit = getattr(self, name), getattr(self, f"{name}_limit")
            if limit is not None and limit < request:
                raise ValueError(f"{name}_limit {limit:g} is less than {name} {request:g}")
        return self

    def autoscales(self) -> bool:
        return self.num_replicas is None

    def initial_replicas(self) -> int:
        """Replicas to start with: the fixed number, or the autoscaler's lower bound."""
        return self.num_replicas or self.autoscale_min_replicas
