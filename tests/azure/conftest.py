from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.azure.acr import Acr
from tests.azure.aks import GROUP, SUBSCRIPTION
from tests.azure.aks import Aks as AksDouble
from tests.azure.double import Double
from tests.azure.inside import Inside
from weir.azure.access import AksAccess, connect
from weir.azure.aks import Aks
from weir.azure.asking import Asking
from weir.azure.cluster_plan import ClusterPlan
from weir.azure.clusters import AzureClusters, Wanted
from weir.azure.identity import Identity, SignIn, credential
from weir.azure.platform import clusters_on
from weir.azure.resource_ids import MANAGED_CLUSTER, REGISTRY, ResourceId, parse
from weir.kubernetes.api import Api
from weir.kubernetes.settings import ClusterSettings


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Double]:
    with Double(tmp_path) as double:
        yield double


def identity_at(azure: Double, **changed: str) -> Identity:
    """The double's own application, signing in by its secret."""
    directory = azure.directory
    known = {
        "tenant_id": directory.tenant,
        "client_id": directory.client_id,
        "client_secret": directory.secret,
    }
    return Identity(sign_in=SignIn.SECRET, **{**known, **changed})


@pytest.fixture
def slept() -> list[float]:
    """Seconds that ``asking`` would have slept."""
    return []


@pytest.fixture
def asking(azure: Double, slept: list[float]) -> Asking:
    signed_in = credential(identity_at(azure), azure.cloud)
    return Asking(signed_in, azure.cloud, sleep=slept.append)


@pytest.fixture
def aks(azure: Double) -> AksDouble:
    """The double's AKS, empty."""
    service = AksDouble(azure.ca_bundle)
    azure.serve(service)
    return service


@pytest.fixture
def inside(azure: Double) -> Inside:
    """The API server of the double's clusters."""
    service = Inside(azure.directory)
    azure.serve(service)
    return service


@dataclass
class Site:
    """One cluster of the double, as weir sees it. ``said`` is what whoever waits was told."""

    azure: Double
    aks: AksDouble
    inside: Inside
    slept: list[float]
    said: list[str] = field(default_factory=list)

    def clusters(
        self,
        plan: ClusterPlan | None = None,
        *,
        name: str = "prod",
        group: str = GROUP,
        registry: str = "",
        access: AksAccess = AksAccess.AAD,
        settings: ClusterSettings | None = None,
        **identity: str,
    ) -> AzureClusters:
        asking = Asking(
            credential(identity_at(self.azure, **identity), self.azure.cloud),
            self.azure.cloud,
            sleep=self.slept.append,
        )
        target = ResourceId(SUBSCRIPTION, group, MANAGED_CLUSTER, name)
        asked = Aks(asking, target, sleep=self.slept.append)
        settings = settings or ClusterSettings()
        api = Api(connect(asked, access), settings.namespace, patience_seconds=1)
        wanted = Wanted(plan, parse(registry, REGISTRY) if registry else None)
        return clusters_on(asked, api, settings, wanted, name="fraud")

    def puts(self) -> int:
        return len(self.azure.asked("PUT", "managedClusters/[^/]+$"))


@pytest.fixture
def site(azure: Double, aks: AksDouble, inside: Inside, slept: list[float]) -> Site:
    azure.serve(Acr(azure.directory))
    return Site(azure, aks, inside, slept)
