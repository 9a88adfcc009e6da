"""The double's Kubernetes API server, as far as a cluster is looked at before it is worked in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.azure.double import Directory, Reply, Request, route

SERVER_ID = "6dae42f8-4368-4678-94ff-3960e28e3630"


@dataclass
class Inside:
    """Lets in who shows a token of the directory for AKS, or one of a kubeconfig."""

    directory: Directory
    namespaces: set[str] = field(default_factory=lambda: {"weir"})
    classes_after: int = 0
    """So many questions for the GatewayClass find none yet."""
    is_forbidden: bool = False

    def __post_init__(self) -> None:
        self.secrets: dict[str, Any] = {}
        self.revoked: set[str] = set()

    @route("GET", "/k8s/version", audience="")
    def version(self, request: Request) -> Reply:
        return self._refused(request) or Reply(json={"gitVersion": "v1.34.2"})

    @route("GET", r"/k8s/apis/gateway\.networking\.k8s\.io/v1/gatewayclasses(/.+)?", audience="")
    def gateway_class(self, request: Request, name: str | None) -> Reply:
        refused = self._refused(request)
        if refused is not None:
            return refused
        if name is None:
            return Reply(
                json={
                    "kind": "GatewayClassList",
                    "apiVersion": "gateway.networking.k8s.io/v1",
                    "metadata": {"resourceVersion": "1"},
                    "items": [],
                }
            )
        if self.classes_after > 0:
            self.classes_after -= 1
            return _status(404, "NotFound", "not there")
        return Reply(
            json={
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": name.strip("/")},
            }
        )

    @route("GET", "/k8s/api/v1/namespaces/([^/]+)/configmaps", audience="")
    def documents(self, request: Request, _: str) -> Reply:
        nothing = {"kind": "ConfigMapList", "apiVersion": "v1", "items": []}
        return self._refused(request) or Reply(json={**nothing, "metadata": {}})

    @route("GET", "/k8s/api/v1/namespaces/([^/]+)", audience="")
    def namespace(self, request: Request, name: str) -> Reply:
        refused = self._refused(request)
        if refused is not None:
            return refused
        if name not in self.namespaces:
            return _status(404, "NotFound", "not there")
        return Reply(json=_object("Namespace", name))

    @route("PATCH", "/k8s/api/v1/namespaces/([^/]+)", audience="")
    def make_namespace(self, request: Request, name: str) -> Reply:
        self.namespaces.add(name)
        return Reply(201, _object("Namespace", name))

    @route("PATCH", "/k8s/api/v1/namespaces/([^/]+)/secrets/([^/]+)", audience="")
    def make_secret(self, request: Request, _: str, name: str) -> Reply:
        self.secrets[name] = request.body
        return Reply(201, _object("Secret", name))

    def _refused(self, request: Request) -> Reply | None:
        token = request.bearer
        is_known = token.startswith(("planted-user-", "planted-admin-"))
        if not is_known and self.directory.issued.get(token) != SERVER_ID:
            return _status(401, "Unauthorized", "Unauthorized")
        if token in self.revoked:
            return _status(401, "Unauthorized", "Unauthorized")
        if self.is_forbidden:
            return _status(403, "Forbidden", 'User "abc-1" cannot get path')
        return None


def _object(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "resourceVersion": "1"}}


def _status(code: int, reason: str, message: str) -> Reply:
    return Reply(
        code,
        {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message},
    )
