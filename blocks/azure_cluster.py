"""An AKS cluster as a platform, saved in Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr

from blocks.azure_identity import AzureIdentity
from blocks.cluster import ClusterBlock
from blocks.new_cluster import NewCluster
from weir.azure.cluster_plan import require_name
from weir.errors import UserError
from weir.images.named import NamedOrBuilt
from weir.local.models import LocalModels
from weir.ports import Images, Platform, Telemetry

if TYPE_CHECKING:
    from weir.azure.asking import Asking
    from weir.azure.cloud import Cloud
    from weir.azure.clusters import AzureClusters, Wanted
    from weir.azure.resource_ids import ResourceId
    from weir.kubernetes.certificates import Certificate
    from weir.kubernetes.settings import ClusterSettings


class AzureCluster(ClusterBlock):
    """An AKS cluster, made by weir or attached."""

    _block_type_name = "weir Azure Cluster"
    _block_type_slug = "weir-azure-cluster"
    _description = "Runs model versions on AKS; makes the cluster where there is none yet."

    subscription_id: str = Field(default="", title="Subscription")
    resource_group: str = Field(default="")
    cluster_name: str = Field(default="")
    resource_id: str = Field(
        default="", description="Instead of subscription, resource group and cluster name."
    )
    identity: AzureIdentity | None = Field(
        default=None, description="Who asks Azure; as the environment allows when empty."
    )
    access: Literal["aad", "admin"] = Field(
        default="aad", description="Into the cluster by the identity's own token, or as its admin."
    )
    create: NewCluster | None = Field(
        default=None, description="Make the cluster where it is missing; attach only when empty."
    )
    registry: str = Field(
        default="",
        description="Container registry that nodes pull from: its resource id, or its name in the"
        " cluster's resource group. It builds images, too, unless there is an image_registry.",
    )
    registry_agent_pool: str = Field(
        default="", description="Of the registry, to build in where only its network reaches it."
    )
    workspace_id: str = Field(
        default="",
        description="GUID of the Log Analytics workspace that evidence is read from. Without it and"
        " log_resource_id the guards' own logs are read.",
    )
    log_resource_id: str = Field(
        default="",
        description="Instead of workspace_id: resource id of the workspace, or of a workspace-based"
        " Application Insights.",
    )
    log_lag_seconds: float = Field(
        default=30, ge=0, description="From a row's ingestion until every query finds it."
    )
    custom_metrics: dict[str, str] = Field(
        default_factory=dict,
        description="Numbers of your own by name: KQL that gives the columns version, n, sum and"
        " sum_sq.",
    )
    load_balancer_type: Literal["PublicIp", "InternalLoadBalancer"] = Field(
        default="PublicIp", description="Of each endpoint's own Gateway."
    )
    load_balancer_subnet: str = Field(default="", description="Of an internal load balancer.")
    ssl_cname: str = Field(default="", description="Endpoint fraud gets the host fraud.CNAME.")
    ssl_cert: str = Field(default="", description="PEM text, with ssl_cname and ssl_key.")
    ssl_key: SecretStr = Field(default=SecretStr(""), description="PEM text.")
    leaf_domain_label: str = Field(
        default="", description="LABEL.REGION.cloudapp.azure.com, without TLS, for one endpoint."
    )
    cloud: str = Field(default="public", description="public, us-government or china.")
    authority: str = Field(default="", description="Instead of the cloud's own address.")
    resource_manager: str = Field(default="", description="Instead of the cloud's own address.")
    log_analytics: str = Field(default="", description="Instead of the cloud's own address.")
    ca_bundle: str = Field(
        default="", description="Certificates to trust, behind a proxy that opens TLS."
    )

    def open(self) -> Platform:
        """The platform on the cluster, which need not be there yet. Asks Azure nothing.

        Raises UserError ``azure.*`` and ``cluster.*`` for fields that are wrong.
        """
        return self.platform()

    def platform(self, patience_seconds: float | None = None) -> Platform:
        """As ``open``. A silent API server is asked again for ``patience_seconds``, if given."""
        from weir.azure.access import AksAccess
        from weir.azure.aks import Aks
        from weir.azure.platform import azure_platform

        root, asking = self.root(), self.asking()
        return azure_platform(
            Aks(asking, self.target()),
            AksAccess(self.access),
            self.settings(),
            self.wanted(),
            LocalModels(root),
            root / "cache",
            name=self.saved_as(),
            certificate=self.certificate(),
            images=self.images_by(asking),
            telemetry=self.telemetry(asking),
            patience_seconds=patience_seconds,
        )

    def images(self) -> Images:
        """See ``images_by``."""
        return self.images_by(self.asking())

    def images_by(self, asking: Asking) -> Images:
        """Those that a release names, and those that ``registry`` builds, or weir for
        ``image_registry``. Raises UserError ``azure.resource_id``."""
        registry = self.registry_id()
        if registry is None or self.image_registry:
            return super().images()
        from weir.azure.acr_builder import AcrBuilder, TaskSettings
        from weir.azure.container_registry import ContainerRegistry

        builder = AcrBuilder(
            ContainerRegistry(asking, registry),
            self.image_settings(),
            TaskSettings(self.registry_agent_pool, self.image_build_timeout_seconds),
            self.root() / "acr-runs",
        )
        return NamedOrBuilt(builder)

    def telemetry(self, asking: Asking) -> Telemetry | None:
        """Log Analytics, where the block names it. Raises UserError ``telemetry.workspace``."""
        if not (self.workspace_id or self.log_resource_id or self.custom_metrics):
            return None
        from weir.azure.log_analytics import LogAnalytics, LogSettings

        settings = LogSettings(
            workspace_id=self.workspace_id,
            resource_id=self.log_resource_id,
            custom_metrics=self.custom_metrics,
            lag_seconds=self.log_lag_seconds,
        )
        return LogAnalytics(asking, settings)

    def clusters(self) -> AzureClusters:
        """The cluster alone."""
        from weir.azure.clusters import AzureClusters

        found = self.open().clusters
        assert isinstance(found, AzureClusters)
        return found

    def target(self) -> ResourceId:
        """Raises UserError ``cluster.target`` for both or neither way to name the cluster."""
        from weir.azure import resource_ids

        names = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "cluster_name": self.cluster_name,
        }
        given = [name for name, value in names.items() if value]
        if self.resource_id:
            if given:
                raise _target(f"resource_id and {given[0]} exclude each other", given[0])
            return resource_ids.parse(self.resource_id, resource_ids.MANAGED_CLUSTER)
        missing = [name for name in names if name not in given]
        if missing:
            raise _target(f"it lacks {' and '.join(missing)}, or resource_id", missing[0])
        require_name(self.cluster_name)
        return resource_ids.ResourceId(
            self.subscription_id,
            self.resource_group,
            resource_ids.MANAGED_CLUSTER,
            self.cluster_name,
        )

    def azure(self) -> Cloud:
        """The cloud. Raises UserError ``azure.cloud``."""
        from weir.azure.cloud import cloud_of

        addresses = {
            "authority": self.authority,
            "resource_manager": self.resource_manager,
            "log_analytics": self.log_analytics,
        }
        return cloud_of(self.cloud, addresses, self.ca_bundle)

    def asking(self) -> Asking:
        """REST calls in the name of the block's identity. Raises UserError ``azure.identity``."""
        from weir.azure.asking import Asking
        from weir.azure.identity import credential

        cloud = self.azure()
        identity = (self.identity or AzureIdentity()).identity()
        return Asking(credential(identity, cloud), cloud)

    def wanted(self) -> Wanted:
        """What this platform wants of its cluster."""
        from weir.azure.clusters import Wanted

        plan = self.create.plan() if self.create is not None else None
        return Wanted(plan, self.registry_id())

    def registry_id(self) -> ResourceId | None:
        """Raises UserError ``azure.resource_id``."""
        from weir.azure import resource_ids

        if not self.registry:
            return None
        if "/" in self.registry:
            return resource_ids.parse(self.registry, resource_ids.REGISTRY, "registry")
        target = self.target()
        return resource_ids.ResourceId(
            target.subscription_id, target.resource_group, resource_ids.REGISTRY, self.registry
        )

    def certificate(self) -> Certificate | None:
        """Raises UserError ``cluster.tls`` for half of one."""
        from weir.azure.tls import certificate_of

        return certificate_of(
            self.ssl_cname,
            self.ssl_cert,
            self.ssl_key.get_secret_value(),
            self.leaf_domain_label,
            self.tls_secret,
        )

    def settings(self) -> ClusterSettings:
        from weir.azure.tls import with_front

        return with_front(
            super().settings(),
            certificate=self.certificate(),
            ssl_cname=self.ssl_cname,
            leaf_domain_label=self.leaf_domain_label,
            is_internal=self.load_balancer_type == "InternalLoadBalancer",
            internal_subnet=self.load_balancer_subnet,
        )

    def saved_as(self) -> str:
        """The block's name, for commands in messages."""
        return self._block_document_name or "NAME"


def _target(why: str, where: str) -> UserError:
    return UserError(
        "cluster.target",
        f"which cluster it is is not clear: {why}.",
        remedy="Give subscription_id, resource_group and cluster_name, or resource_id alone.",
        where=where,
    )
