"""A Kubernetes cluster as a platform, saved in Prefect."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from blocks.platforms import PlatformBlock
from weir.images.command_builder import CommandBuilder
from weir.images.dockerfile import CONDA_IMAGE, GPU_BASE, PYTHON_BASE, Bases
from weir.images.named import NamedImages, NamedOrBuilt
from weir.images.settings import ImageSettings, ToolSettings
from weir.kubernetes.settings import (
    DEFAULT_GUARD_IMAGE,
    ClusterSettings,
    SharedGateway,
    Toleration,
)
from weir.local.home import default_home
from weir.local.models import LocalModels
from weir.ports import Images, Platform


class PodToleration(BaseModel):
    """What pods put up with of a node; an empty value tolerates every value of the key."""

    key: str
    value: str = ""
    effect: str = ""

    def chosen(self) -> Toleration:
        return Toleration(self.key, self.value, self.effect)


class ClusterBlock(PlatformBlock, ABC):
    """How endpoints live in a cluster, however its API server is reached."""

    # A field that does not exist is a mistake: the release would go to another namespace.
    model_config = ConfigDict(extra="forbid")

    namespace: str = Field(default="weir", description="Holds every endpoint.")
    create_namespace: bool = Field(default=False, description="Make the namespace if missing.")
    gateway_class: str = Field(
        default="approuting-istio", description="GatewayClass of each endpoint's own Gateway."
    )
    shared_gateway: str = Field(
        default="",
        title="Shared gateway",
        description="NAMESPACE/NAME of a Gateway to share, instead of one for each endpoint.",
        pattern=r"^([a-z0-9-]+/[a-z0-9.-]+)?$",
    )
    gateway_port: int = Field(
        default=80, gt=0, lt=65_536, description="Port of the Gateway's listener."
    )
    gateway_annotations: dict[str, str] = Field(
        default_factory=dict,
        description="Of each own Gateway, for example of an internal load balancer.",
    )
    gateway_timeout_seconds: float = Field(
        default=300, gt=0, le=3600, description="How long a Gateway may take to get an address."
    )
    host_suffix: str = Field(
        default="",
        title="Host suffix",
        description="Endpoint fraud gets the host fraud.SUFFIX; without one, its own address, or"
        " the path /fraud of a shared gateway.",
    )
    tls_secret: str = Field(
        default="",
        title="TLS secret",
        description="Secret with a certificate in the same namespace: the Gateway then listens"
        " with TLS on its port.",
    )
    image_pull_secret: str = Field(default="", description="Secret to pull images with.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="For every pod.")
    tolerations: list[PodToleration] = Field(default_factory=list, description="For every pod.")
    gpu_node_selector: dict[str, str] = Field(
        default_factory=dict, description="For versions with gpu_cores, besides the other."
    )
    gpu_tolerations: list[PodToleration] = Field(
        default_factory=lambda: [
            PodToleration(key=one.key, value=one.value, effect=one.effect)
            for one in ClusterSettings().gpu_tolerations
        ],
        description="For versions with gpu_cores, besides the others.",
    )
    gpu_resource: str = Field(
        default="nvidia.com/gpu", description="What the cluster calls a graphics processor."
    )
    guard_image: str = Field(
        default=DEFAULT_GUARD_IMAGE, description="The Envoy beside every model server."
    )
    collector: str = Field(
        default="",
        pattern=r"^(([^\s/:]+|\[[0-9a-fA-F:]+\]):\d+)?$",
        description="host:port of an OpenTelemetry collector (OTLP over HTTP) for the guards.",
    )
    token_issuer: str = Field(
        default="",
        description="Callers show a token of this issuer instead of a key.",
    )
    token_audiences: list[str] = Field(
        default_factory=list, description="Audiences of which a token has to have one."
    )
    token_jwks: str = Field(
        default="", title="Token keys", description="The issuer's JSON Web Key Set, as text."
    )
    unschedulable_patience_seconds: float = Field(
        default=20,
        ge=0,
        description="How long a pod may find no node before its release fails, unless an"
        " autoscaler has said that it adds one.",
    )
    propagation_seconds: float = Field(
        default=2,
        ge=0,
        description="How long a gateway's proxies take from its controller's word to following it.",
    )
    image_registry: str = Field(
        default="",
        title="Image registry",
        description="Host of the registry that weir builds images for, models.azurecr.io say."
        " Without one a release names its image.",
    )
    image_repository: str = Field(
        default="weir", description="Images are REGISTRY/REPOSITORY/MODEL:CONTENT."
    )
    image_builder: str = Field(
        default="",
        description="buildah, podman or docker, by name or path; the first there is when empty.",
    )
    image_builder_options: list[str] = Field(
        default_factory=list, description="Of every call of it, --storage-driver=vfs say."
    )
    image_build_options: list[str] = Field(
        default_factory=list, description="Of its builds, --isolation=chroot say."
    )
    image_auth_file: str = Field(
        default="", description="Login for the registry; the builder's own usual one when empty."
    )
    image_plain_http: bool = Field(
        default=False, description="The registry has no TLS. Loopback needs none."
    )
    image_build_timeout_seconds: int = Field(
        default=3600, ge=300, le=7200, description="How long building one may take."
    )
    image_platform: str = Field(default="linux/amd64", description="Of the nodes.")
    python_base: str = Field(default=PYTHON_BASE, description="What images are built on.")
    gpu_base: str = Field(default=GPU_BASE, description="The same with enable_gpu.")
    conda_image: str = Field(
        default=CONDA_IMAGE, description="Where micromamba is taken from, for conda_file."
    )
    home: str = Field(
        default="",
        title="Home folder",
        description="Holds the model registry of this machine; WEIR_HOME or ~/.weir when empty.",
    )

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Which cluster it is comes first in a form, and how endpoints live there after it.

        Prefect's pages order the fields of a form by their `position`.
        """
        schema = super().model_json_schema(*args, **options)
        fields = schema["properties"]
        ordered = sorted(fields, key=lambda name: name in ClusterBlock.model_fields)
        for position, name in enumerate(ordered):
            fields[name]["position"] = position
        return schema

    def root(self) -> Path:
        """The folder of this machine that holds the model registry."""
        return Path(self.home).expanduser() if self.home else default_home()

    def images(self) -> Images:
        """Those that a release names, and those that weir builds where there is a registry."""
        if not self.image_registry:
            return NamedImages()
        tool = ToolSettings(
            program=self.image_builder,
            options=tuple(self.image_builder_options),
            build_options=tuple(self.image_build_options),
            auth_file=self.image_auth_file,
            build_timeout_seconds=self.image_build_timeout_seconds,
        )
        return NamedOrBuilt(CommandBuilder(self.image_settings(), tool))

    def image_settings(self) -> ImageSettings:
        """What images are built on, and what they are called."""
        return ImageSettings(
            registry=self.image_registry,
            repository=self.image_repository,
            bases=Bases(self.python_base, self.gpu_base, self.conda_image),
            platform=self.image_platform,
            plain_http=self.image_plain_http,
        )

    def settings(self) -> ClusterSettings:
        """What the adapters need of this block; nothing of it is a secret."""
        namespace, _, gateway = self.shared_gateway.partition("/")
        return ClusterSettings(
            namespace=self.namespace,
            create_namespace=self.create_namespace,
            gateway_class=self.gateway_class,
            shared_gateway=SharedGateway(gateway, namespace) if gateway else None,
            gateway_port=self.gateway_port,
            gateway_annotations=self.gateway_annotations,
            gateway_timeout_seconds=self.gateway_timeout_seconds,
            host_suffix=self.host_suffix,
            tls_secret=self.tls_secret,
            image_pull_secret=self.image_pull_secret,
            node_selector=self.node_selector,
            tolerations=tuple(one.chosen() for one in self.tolerations),
            gpu_node_selector=self.gpu_node_selector,
            gpu_tolerations=tuple(one.chosen() for one in self.gpu_tolerations),
            gpu_resource=self.gpu_resource,
            guard_image=self.guard_image,
            collector=self.collector,
            token_issuer=self.token_issuer,
            token_audiences=tuple(self.token_audiences),
            token_jwks=self.token_jwks,
            unschedulable_patience_seconds=self.unschedulable_patience_seconds,
            propagation_seconds=self.propagation_seconds,
        )


class KubernetesCluster(ClusterBlock):
    """A cluster with the Gateway API: AKS, or any other."""

    _block_type_name = "weir Kubernetes Cluster"
    _block_type_slug = "weir-kubernetes-cluster"
    _description = "Runs model versions in a Kubernetes cluster, behind its Gateway API."

    kubeconfig: str = Field(
        default="",
        title="Kubeconfig path",
        description="As the worker sees it; KUBECONFIG or ~/.kube/config when empty.",
    )
    kubeconfig_text: SecretStr = Field(
        default=SecretStr(""),
        title="Kubeconfig",
        description="The kubeconfig itself, instead of a path.",
    )
    context: str = Field(default="", description="The kubeconfig's current one when empty.")
    in_cluster: bool = Field(
        default=False,
        title="In cluster",
        description="The account of the pod that the worker runs in.",
    )

    def open(self) -> Platform:
        """The platform in the cluster. Asks it nothing yet. Raises UserError ``kubernetes.*``."""
        # The client takes a third of a second and some memory, which only a cluster is worth.
        from weir.kubernetes.connection import Access, connect
        from weir.kubernetes.platform import kubernetes_platform

        access = Access(
            kubeconfig_text=self.kubeconfig_text.get_secret_value(),
            kubeconfig=self.kubeconfig,
            context=self.context,
            in_cluster=self.in_cluster,
        )
        root = self.root()
        return kubernetes_platform(
            connect(access),
            self.settings(),
            LocalModels(root),
            root / "cache",
            images=self.images(),
        )
