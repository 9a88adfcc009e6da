"""The command lines of a cluster's processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.cluster import istio, kubeconfig
from tests.kubernetes.cluster.build import binary
from tests.kubernetes.cluster.certificates import Authority, Pair

HOST = "127.0.0.1"
ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLERS = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"

PORTS = (ETCD, "etcd-peer", API_SERVER, KWOK, *istio.PORTS)
"""What listens, each on a port of its own."""

SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"
MASTERS = "system:masters"


@dataclass(frozen=True)
class Components:
    """How each process of the cluster in ``folder`` is called."""

    folder: Path
    ports: dict[str, int]
    authority: Authority

    @property
    def server(self) -> str:
        return f"https://{HOST}:{self.ports[API_SERVER]}"

    def etcd(self) -> list[str]:
        own = self._server_pair(ETCD)
        ca = self.authority.own.certificate
        client = f"https://{HOST}:{self.ports[ETCD]}"
        peer = f"https://{HOST}:{self.ports['etcd-peer']}"
        return [
            str(binary("etcd")),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            f"--cert-file={own.certificate}",
            f"--key-file={own.key}",
            "--client-cert-auth",
            f"--trusted-ca-file={ca}",
            f"--peer-cert-file={own.certificate}",
            f"--peer-key-file={own.key}",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={ca}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def api_server(self) -> list[str]:
        ca = self.authority.own.certificate
        own = self._server_pair(API_SERVER)
        client = self.authority.issue("kube-apiserver-client", [MASTERS])
        tokens = self.authority.signing_key("service-accounts")
        return [
            str(binary(API_SERVER)),
            f"--bind-address={HOST}",
            f"--secure-port={self.ports[API_SERVER]}",
            f"--tls-cert-file={own.certificate}",
            f"--tls-private-key-file={own.key}",
            f"--client-ca-file={ca}",
            f"--etcd-servers=https://{HOST}:{self.ports[ETCD]}",
            f"--etcd-cafile={ca}",
            f"--etcd-certfile={client.certificate}",
            f"--etcd-keyfile={client.key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            # The service "kubernetes" could not point to a loopback address.
            "--endpoint-reconciler-type=none",
            f"--kubelet-certificate-authority={ca}",
            f"--kubelet-client-certificate={client.certificate}",
            f"--kubelet-client-key={client.key}",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
        ]

    def controllers(self) -> list[str]:
        ca = self.authority.own
        tokens = self.authority.signing_key("service-accounts")
        return [
            str(binary(CONTROLLERS)),
            f"--kubeconfig={self.kubeconfig('system:kube-controller-manager')}",
            "--controllers=*",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={tokens.key}",
            f"--root-ca-file={ca.certificate}",
            f"--cluster-signing-cert-file={ca.certificate}",
            f"--cluster-signing-key-file={ca.key}",
            "--node-monitor-period=1s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def scheduler(self) -> list[str]:
        return [
            str(binary(SCHEDULER)),
            f"--kubeconfig={self.kubeconfig('system:kube-scheduler')}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def kwok(self, stages: Path) -> list[str]:
        own = self._server_pair("kwok-server")
        port = self.ports[KWOK]
        return [
            str(binary(KWOK)),
            f"--kubeconfig={self.kubeconfig('kwok', MASTERS)}",
            f"--config={stages}",
            "--manage-all-nodes=true",
            "--enable-crds=Logs",
            f"--cidr={POD_RANGE}",
            f"--node-ip={HOST}",
            f"--node-port={port}",
            f"--server-address={HOST}:{port}",
            f"--tls-cert-file={own.certificate}",
            f"--tls-private-key-file={own.key}",
            # With leases, a kwok started anew would wait for those of the one before to end.
            "--node-lease-duration-seconds=0",
        ]

    @property
    def istiod_folder(self) -> Path:
        return self.folder / "istiod"

    def istiod(self) -> list[str]:
        credentials = self.kubeconfig("istiod", MASTERS)
        return istio.command(self.istiod_folder, self.ports, credentials)

    def kubeconfig(self, user: str, *groups: str) -> Path:
        """A kubeconfig of a component's user."""
        pair = self.authority.issue(user, groups)
        path = self.folder / "kubeconfigs" / f"{user.replace(':', '-')}.yaml"
        ca = self.authority.own.certificate
        return kubeconfig.with_certificate(path, self.server, ca, user, pair)

    def _server_pair(self, name: str) -> Pair:
        return self.authority.issue(name, hosts=[HOST, "localhost"])
