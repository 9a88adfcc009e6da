"""The double's AKS: managed clusters whose operations advance by one with every look at them."""

from __future__ import annotations

import base64
import copy
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.azure.double import Refuse, Reply, Request, route

SUBSCRIPTION = "00000000-1111-4222-8333-444444444444"
GROUP = "ml"
REGION = "westeurope"
REGISTRY = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
    "/Microsoft.ContainerRegistry/registries/models"
)
KUBELET_ID = "aaaaaaaa-1111-4111-8111-111111111111"
CLUSTER_ID = "bbbbbbbb-2222-4222-8222-222222222222"

_SUB = r"/subscriptions/([^/]+)"
_CLUSTER = (
    _SUB + r"/resourceGroups/([^/]+)/providers/Microsoft\.ContainerService/managedClusters/([^/]+)"
)
_PLACE = _SUB + r"/providers/Microsoft\.ContainerService/locations/([^/]+)"
_ROLES = r"(/subscriptions/.+)/providers/Microsoft\.Authorization/roleAssignments"

Key = tuple[str, str]


@dataclass
class _Operation:
    looks: int
    """How many find it unfinished."""
    end: Callable[[], object]
    error: Mapping[str, str] | None = None
    cluster: Key = ("", "")

    @property
    def status(self) -> str:
        if self.looks > 0:
            return "InProgress"
        return "Failed" if self.error else "Succeeded"


@dataclass
class Aks:
    """One subscription's clusters. Tests change the fields."""

    ca_bundle: Path
    """Of the double, for kubeconfigs."""
    looks: int = 3
    retry_after: str = "7"
    sizes: dict[str, int] = field(
        default_factory=lambda: {"Standard_D4s_v5": 4, "Standard_B1s": 1, "Standard_NC6s_v3": 6}
    )
    restricted: dict[str, str] = field(default_factory=dict)
    kubeconfigs: dict[str, str] = field(default_factory=dict)
    """By "user" and "admin", in place of those that lead to the double's own API server."""
    may_grant: bool = True
    operations_are_told: bool = True
    """Whether answers name the operation."""

    def __post_init__(self) -> None:
        self.groups = {GROUP: REGION}
        self.clusters: dict[Key, dict[str, Any]] = {}
        self.grants: list[dict[str, Any]] = []
        self._operations: dict[str, _Operation] = {}
        self._failing: dict[str, str] | None = None
        self._may_end = threading.Event()
        self._may_end.set()
        self._lock = threading.RLock()

    def hold(self) -> None:
        """No operation ends until ``let_go``."""
        self._may_end.clear()

    def let_go(self) -> None:
        self._may_end.set()

    def fail_next(self, code: str, message: str) -> None:
        """The next operation is accepted, and comes to nothing."""
        self._failing = {"code": code, "message": message}

    def there_is(self, name: str, **properties: Any) -> dict[str, Any]:
        """A cluster that somebody else made, in the region's usual shape."""
        tags, location = properties.pop("tags", {}), properties.pop("location", REGION)
        pool = {"name": "nodepool1", "mode": "System", "count": 3, "vmSize": "Standard_D4s_v5"}
        cluster = {
            "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
            f"/Microsoft.ContainerService/managedClusters/{name}",
            "name": name,
            "location": location,
            "tags": tags,
            "properties": {
                "provisioningState": "Succeeded",
                "powerState": {"code": "Running"},
                "kubernetesVersion": "1.34",
                "currentKubernetesVersion": "1.34.2",
                "agentPoolProfiles": [pool],
                **properties,
            },
        }
        self._complete(cluster)
        self.clusters[GROUP, name] = cluster
        return cluster

    @route("GET", _CLUSTER)
    def get(self, request: Request, _: str, group: str, name: str) -> Reply:
        key = self._key(group, name)
        with self._lock:
            if key in self.clusters:
                self._look(key)
            return Reply(json=copy.deepcopy(self._found(key)))

    @route("PUT", _CLUSTER)
    def put(self, request: Request, _: str, group: str, name: str) -> Reply:
        key = self._key(group, name)
        with self._lock:
            present = self.clusters.get(key)
            if present is not None and request.headers.get("if-none-match") == "*":
                raise Refuse(412, "PreconditionFailed", "The resource exists already.")
            self._require_idle(key)
            tag = request.headers.get("if-match", "").strip('"')
            if tag and present is not None and tag != present.get("eTag"):
                raise Refuse(412, "EtagMismatch", "The etag does not match.")
            cluster = request.json()
            cluster |= {"eTag": str(uuid.uuid4())}
            cluster |= {"id": request.path, "name": name}
            cluster["systemData"] = {"createdAt": "2026-11-26T08:00:00Z"}
            cluster["properties"]["provisioningState"] = "Creating"
            self.clusters[key] = cluster
            headers = self._begin(request, key, lambda: self._complete(cluster))
            return Reply(201 if present is None else 200, copy.deepcopy(cluster), headers)

    @route("DELETE", _CLUSTER)
    def delete(self, request: Request, _: str, group: str, name: str) -> Reply:
        key = self._key(group, name)
        with self._lock:
            if key not in self.clusters:
                return Reply(204)
            self._require_idle(key)
            self.clusters[key]["properties"]["provisioningState"] = "Deleting"
            headers = self._begin(request, key, lambda: self.clusters.pop(key, None))
            return Reply(202, headers=headers)

    @route("POST", _CLUSTER + "/start")
    def start(self, request: Request, _: str, group: str, name: str) -> Reply:
        key = self._key(group, name)
        cluster = self._found(key)
        cluster["properties"]["provisioningState"] = "Starting"

        def end() -> None:
            cluster["properties"]["powerState"] = {"code": "Running"}
            self._complete(cluster)

        return Reply(202, headers=self._begin(request, key, end))

    @route("GET", _CLUSTER + r"/agentPools/([^/]+)")
    def get_pool(self, request: Request, _: str, group: str, name: str, pool: str) -> Reply:
        return Reply(json=_pool_body(self._pool(self._key(group, name), pool)))

    @route("PUT", _CLUSTER + r"/agentPools/([^/]+)")
    def put_pool(self, request: Request, _: str, group: str, name: str, pool: str) -> Reply:
        key = self._key(group, name)
        self._require_idle(key)
        wanted, there = request.json()["properties"], self._pool(key, pool)
        if wanted.get("enableAutoScaling") and wanted["count"] != there["count"]:
            low, high = wanted["minCount"], wanted["maxCount"]
            if low <= there["count"] <= high:
                raise Refuse(
                    400, "InvalidParameter", "Cannot manually scale and enable the autoscaler."
                )
        if wanted["vmSize"] != there["vmSize"]:
            raise Refuse(400, "PropertyChangeNotAllowed", "Changing 'vmSize' is not allowed.")
        cluster = self._found(key)
        cluster["properties"]["provisioningState"] = "Scaling"

        def end() -> None:
            there.clear()
            there.update({"name": pool, **wanted})
            self._complete(cluster)

        headers = self._begin(request, key, end)
        return Reply(200, {"name": pool, "properties": wanted}, headers)

    @route("POST", _CLUSTER + "/listCluster(User|Admin)Credential")
    def credentials(self, request: Request, _: str, group: str, name: str, kind: str) -> Reply:
        cluster = self._found(self._key(group, name))
        entra = bool((cluster["properties"].get("aadProfile") or {}).get("managed"))
        kind = kind.lower()
        if kind == "admin" and cluster["properties"].get("disableLocalAccounts"):
            raise Refuse(
                400,
                "BadRequest",
                "Getting static credential is not allowed because this cluster"
                " is set to disable local accounts.",
            )
        text = self.kubeconfigs.get(kind) or _kubeconfig(
            request, kind, base64.b64encode(self.ca_bundle.read_bytes()).decode(), entra=entra
        )
        value = base64.b64encode(text.encode()).decode()
        return Reply(json={"kubeconfigs": [{"name": f"cluster{kind}", "value": value}]})

    @route("GET", _PLACE + r"/operations/(.+)")
    def operation(self, request: Request, _: str, __: str, number: str) -> Reply:
        with self._lock:
            found = self._operations[number]
            self._look(found.cluster)
            body: dict[str, Any] = {"name": number, "status": found.status}
            if found.error and found.looks <= 0:
                body["error"] = dict(found.error)
            return Reply(json=body, headers={"Retry-After": self.retry_after})

    @route("GET", _PLACE + r"/kubernetesVersions")
    def versions(self, request: Request, *_: str) -> Reply:
        values = [
            {"version": "1.33", "patchVersions": {"1.33.5": {}}},
            {"version": "1.34", "patchVersions": {"1.34.1": {}, "1.34.2": {}}, "isDefault": True},
        ]
        return Reply(json={"values": values})

    @route("GET", _SUB + r"/providers/Microsoft\.Compute/skus")
    def skus(self, request: Request, _: str) -> Reply:
        asked = re.search(r"location eq '([^']+)'", request.query["$filter"])
        assert asked is not None
        location = asked[1]
        values = [{"resourceType": "disks", "name": "Premium_LRS"}]
        values += [self._size(name, count, location) for name, count in self.sizes.items()]
        return Reply(json={"value": values})

    @route("GET", _ROLES)
    def list_grants(self, request: Request, scope: str) -> Reply:
        asked = re.search(r"assignedTo\('([^']+)'\)", request.query["$filter"])
        assert asked is not None
        who = asked[1]
        found = [
            one
            for one in self.grants
            if one["scope"] == scope and one["properties"]["principalId"] == who
        ]
        return Reply(json={"value": found})

    @route("PUT", _ROLES + r"/([^/]+)")
    def grant(self, request: Request, scope: str, name: str) -> Reply:
        if not self.may_grant:
            raise Refuse(
                403,
                "AuthorizationFailed",
                "The client 'app' with object id 'abc-1' does not have authorization to perform"
                " action 'Microsoft.Authorization/roleAssignments/write' over scope"
                f" '{scope}' or the scope is invalid.",
            )
        wanted = {"scope": scope, "name": name, **request.json()}
        for one in self.grants:
            if one["scope"] == scope and one["properties"] == wanted["properties"]:
                raise Refuse(409, "RoleAssignmentExists", "The role assignment already exists.")
        self.grants.append(wanted)
        return Reply(201, wanted)

    def _size(self, name: str, count: int, location: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "resourceType": "virtualMachines",
            "name": name,
            "capabilities": [{"name": "vCPUs", "value": str(count)}],
            "locationInfo": [{"location": location, "zones": ["1", "2"]}],
            "restrictions": [],
        }
        if name in self.restricted:
            entry["restrictions"] = [{"type": "Location", "reasonCode": self.restricted[name]}]
        return entry

    def _key(self, group: str, name: str) -> Key:
        if group not in self.groups:
            raise Refuse(
                404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found."
            )
        return group, name

    def _found(self, key: Key) -> dict[str, Any]:
        if key not in self.clusters:
            raise Refuse(404, "ResourceNotFound", f"The Resource '{key[1]}' was not found.")
        return self.clusters[key]

    def _pool(self, key: Key, name: str) -> dict[str, Any]:
        pools: list[dict[str, Any]] = self._found(key)["properties"]["agentPoolProfiles"]
        for pool in pools:
            if pool["name"] == name:
                return pool
        raise Refuse(404, "NotFound", f"Could not find the agent pool {name}.")

    def _require_idle(self, key: Key) -> None:
        present = self.clusters.get(key)
        if present and present["properties"]["provisioningState"] not in ("Succeeded", "Failed"):
            raise Refuse(
                409,
                "OperationNotAllowed",
                "Operation is not allowed: Another operation (Updating) is in progress, please wait"
                " for it to finish before starting a new operation.",
            )

    def _begin(self, request: Request, key: Key, end: Callable[[], object]) -> dict[str, str]:
        number = str(uuid.uuid4())
        self._operations[number] = _Operation(self.looks, end, self._failing, key)
        self._failing = None
        headers = {"Retry-After": self.retry_after}
        if self.operations_are_told:
            headers["Azure-AsyncOperation"] = (
                f"{request.base}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerService"
                f"/locations/{REGION}/operations/{number}?api-version=2017-08-31"
            )
        return headers

    def _look(self, key: Key) -> None:
        """One step onward, for what is under way with the cluster."""
        if not self._may_end.is_set():
            return
        for one in self._operations.values():
            if one.cluster == key and one.looks > 0:
                one.looks -= 1
                if one.looks == 0:
                    self._end(one)

    def _end(self, operation: _Operation) -> None:
        if operation.error is None:
            operation.end()
            return
        properties = self.clusters[operation.cluster]["properties"]
        properties["provisioningState"] = "Failed"
        properties["status"] = {"provisioningError": dict(operation.error)}

    def _complete(self, cluster: dict[str, Any]) -> None:
        properties = cluster["properties"]
        properties["provisioningState"] = "Succeeded"
        properties.pop("status", None)
        properties.setdefault("powerState", {"code": "Running"})
        properties.setdefault("currentKubernetesVersion", "1.34.2")
        properties["identityProfile"] = {"kubeletidentity": {"objectId": KUBELET_ID}}
        cluster["identity"] = {"type": "SystemAssigned", "principalId": CLUSTER_ID}


def _pool_body(pool: Mapping[str, Any]) -> dict[str, Any]:
    given = copy.deepcopy(dict(pool))
    return {"name": given.pop("name"), "properties": given}


def _kubeconfig(request: Request, kind: str, authority: str, *, entra: bool) -> str:
    """As AKS has them: users of a cluster with Entra ID sign in by a command."""
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "kubelogin",
        "args": ["get-token", "--server-id", "6dae42f8-4368-4678-94ff-3960e28e3630"],
    }
    user = {"exec": command} if entra and kind == "user" else {"token": f"planted-{kind}-token"}
    cluster = {"server": f"{request.base}/k8s", "certificate-authority-data": authority}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "prod", "cluster": cluster}],
            "users": [{"name": f"cluster{kind}", "user": user}],
            "contexts": [
                {"name": "prod", "context": {"cluster": "prod", "user": f"cluster{kind}"}}
            ],
            "current-context": "prod",
        }
    )
