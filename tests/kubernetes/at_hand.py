"""The cluster that the tests may use, and a namespace of it with weir's own account."""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes import client, utils

from tests.kubernetes.cluster.build import home
from weir.errors import WeirError
from weir.kubernetes.api import Api
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.kinds import NAMESPACE, Object
from weir.kubernetes.settings import ClusterSettings

CHOSEN = "WEIR_TEST_KUBECONFIG"
"""Names the cluster to test on. KUBECONFIG alone is never taken: it may lead to production."""

REQUIRED = "WEIR_TEST_KUBERNETES"
"""Set to "required", a test fails without a cluster instead of being skipped."""

IMAGE = "WEIR_TEST_IMAGE"
"""On a cluster with real nodes: an image that answers 200 to every request, on the port in PORT."""

GATEWAY_CLASS = "WEIR_TEST_GATEWAY_CLASS"

RBAC = Path(__file__).parents[2] / "deployments" / "kubernetes" / "rbac.yaml"
ACCOUNT = "weir"
NONE = f"no cluster is at hand: make cluster starts one on this machine, or set {CHOSEN}"


@dataclass(frozen=True)
class Place:
    """A namespace of a real cluster.

    ``api`` and ``access`` are those of weir's account, ``connection`` and ``admin`` an
    administrator's.
    """

    namespace: str
    connection: client.ApiClient
    admin: Api
    access: Access
    settings: ClusterSettings

    def api(self, patience_seconds: float = 20) -> Api:
        return Api(connect(self.access), self.namespace, patience_seconds)


@functools.cache
def kubeconfig() -> Path | None:
    """The kubeconfig of the cluster to test on, if its API server answers."""
    chosen = os.environ.get(CHOSEN)
    path = Path(chosen) if chosen else home() / "default" / "kubeconfig"
    if not path.exists():
        return None
    try:
        administrator(path).read("/version", "ask for the version")
    except WeirError:
        return None
    return path


def administrator(path: Path, namespace: str = "default") -> Api:
    return Api(connect(Access(kubeconfig=str(path))), namespace, patience_seconds=5)


def require_cluster() -> Path:
    """The kubeconfig, or the test is skipped with words on how to have a cluster."""
    found = kubeconfig()
    if found is None:
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(NONE)
        pytest.skip(NONE)
    return found


@functools.cache
def has_played_nodes() -> bool:
    """Whether kwok plays the nodes, and any image becomes ready."""
    nodes = client.CoreV1Api(connect(Access(kubeconfig=str(require_cluster())))).list_node().items
    return all(one.status.node_info.kubelet_version.startswith("kwok") for one in nodes)


def require_played_nodes() -> None:
    """For tests whose pods, or their logs, are played."""
    if not has_played_nodes():
        pytest.skip("the nodes of this cluster are real; this test plays its pods")


def image() -> str:
    """An image whose pods become ready."""
    if has_played_nodes():
        return "registry.example/model:1"
    chosen = os.environ.get(IMAGE)
    if not chosen:
        pytest.skip(f"the nodes of this cluster are real: set {IMAGE}")
    return chosen


@contextmanager
def place(**settings: object) -> Iterator[Place]:
    """A new namespace, which is gone afterwards, with the account in deployments/kubernetes."""
    path = require_cluster()
    namespace = f"weir-test-{secrets.token_hex(4)}"
    connection = connect(Access(kubeconfig=str(path)))
    admin = Api(connection, namespace, patience_seconds=5)
    admin.create(NAMESPACE.object(namespace, {"weir-test": "yes"}))
    try:
        for manifest in role_of(namespace):
            utils.create_from_dict(connection, manifest)
        token = _token(connection, namespace)
        yield Place(
            namespace,
            connection,
            admin,
            Access(kubeconfig_text=_kubeconfig_of(path, token, namespace)),
            ClusterSettings(
                **{
                    "namespace": namespace,
                    "gateway_timeout_seconds": 60,
                    "gateway_class": os.environ.get(GATEWAY_CLASS, "approuting-istio"),
                    "propagation_seconds": 0,
                    **settings,
                }
            ),
        )
    finally:
        admin.delete(NAMESPACE, namespace)
        rights = client.RbacAuthorizationV1Api(connection)
        rights.delete_cluster_role_binding(f"weir-looks-{namespace}")
        rights.delete_cluster_role(f"weir-looks-{namespace}")


def role_of(namespace: str) -> Iterator[Object]:
    """The manifests in deployments/kubernetes/rbac.yaml, for ``namespace``."""
    for manifest in yaml.safe_load_all(RBAC.read_text()):
        if manifest["metadata"].get("namespace"):
            manifest["metadata"]["namespace"] = namespace
        else:
            manifest["metadata"]["name"] += f"-{namespace}"
            if manifest["kind"] == "ClusterRoleBinding":
                manifest["roleRef"]["name"] += f"-{namespace}"
        for subject in manifest.get("subjects", ()):
            subject["namespace"] = namespace
        yield manifest


def _token(connection: client.ApiClient, namespace: str) -> str:
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[]))
    given = client.CoreV1Api(connection).create_namespaced_service_account_token(
        ACCOUNT, namespace, request
    )
    return str(given.status.token)


def _kubeconfig_of(path: Path, token: str, namespace: str) -> str:
    """A kubeconfig of weir's account at the cluster that ``path`` leads to."""
    document = yaml.safe_load(path.read_text())
    contexts = {one["name"]: one["context"] for one in document["contexts"]}
    clusters = {one["name"]: one["cluster"] for one in document["clusters"]}
    cluster = clusters[contexts[document["current-context"]]["cluster"]]
    context = {"cluster": "test", "user": ACCOUNT, "namespace": namespace}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": ACCOUNT, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
    )
