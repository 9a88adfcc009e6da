"""One cluster in one folder: started, asked, interrupted and ended."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.kubernetes.cluster import istio, kubeconfig
from tests.kubernetes.cluster.build import binary, build, built
from tests.kubernetes.cluster.certificates import Authority
from tests.kubernetes.cluster.components import (
    API_SERVER,
    CONTROLLERS,
    ETCD,
    KWOK,
    MASTERS,
    PORTS,
    SCHEDULER,
    Components,
)
from tests.kubernetes.cluster.errors import ClusterError
from tests.kubernetes.cluster.istio import ISTIOD
from tests.kubernetes.cluster.modules import GATEWAY_API, ISTIO
from tests.kubernetes.cluster.modules import KWOK as KWOK_MODULE
from tests.kubernetes.cluster.processes import Processes, free_ports

MANIFESTS = Path(__file__).parent / "manifests"
PROCESSES = (ETCD, API_SERVER, CONTROLLERS, SCHEDULER, KWOK, ISTIOD)
"""In the order in which they start."""


class Cluster:
    """A control plane whose data, keys, logs and pids are all in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubectl_path = binary("kubectl")
        self._processes = Processes(self.folder)
        self._authority = Authority(self.folder / "pki")
        self._components = Components(self.folder, self._ports(), self._authority)

    @classmethod
    def start(cls, folder: Path) -> Cluster:
        """A cluster that is ready for use; what runs already is left as it is."""
        build()
        cluster = cls(folder)
        try:
            cluster.up()
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def up(self) -> None:
        """Start what does not run, and return once nodes and pods would be ready."""
        if set(self.running()) == set(PROCESSES):
            return
        calls = self._components
        kubeconfig.with_certificate(
            self.kubeconfig,
            calls.server,
            self._authority.own.certificate,
            "kubernetes-admin",
            self._authority.issue("kubernetes-admin", [MASTERS]),
        )
        self._processes.start(ETCD, calls.etcd())
        self._processes.start(API_SERVER, calls.api_server())
        self._processes.wait(API_SERVER, "the API server is ready", self._api_server_ready)
        self._processes.start(CONTROLLERS, calls.controllers())
        self._processes.start(SCHEDULER, calls.scheduler())
        self._apply_all()
        self._processes.start(KWOK, calls.kwok(self._stages()))
        self._processes.start(ISTIOD, calls.istiod(), istio.ENVIRONMENT, calls.istiod_folder)
        self._processes.wait(KWOK, "the nodes are ready", self._nodes_ready)
        self._processes.wait(
            ISTIOD, f"the GatewayClass {istio.GATEWAY_CLASS} is accepted", self._class_accepted
        )

    def stop(self) -> None:
        """End this cluster's processes, and no others; its data stays in the folder."""
        self._processes.stop(*(name for name in PROCESSES if name != ETCD))
        self._processes.stop(ETCD)

    def stop_api_server(self) -> None:
        """Take the API server away at once, until ``start_api_server``; etcd keeps the data.

        What only talks to it goes as well. Left running, it would stay idle for up to a minute
        after the return; real controllers lose their leases by then and are started anew.
        """
        rest = (CONTROLLERS, SCHEDULER, KWOK, ISTIOD)
        self._processes.stop(API_SERVER, *rest, patience_seconds=0.5)

    def start_api_server(self) -> None:
        """Bring the API server back at its port, with what talks to it, and wait for all."""
        self.up()

    def running(self) -> dict[str, psutil.Process]:
        """The cluster's processes by name."""
        return self._processes.running()

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self._processes.log(name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl says as the administrator; ClusterError when it fails."""
        done = self._kubectl(arguments, stdin)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *paths: Path) -> None:
        """Apply manifests from files and folders."""
        named = [part for path in paths for part in ("-f", str(path))]
        self.kubectl("apply", "--server-side", "--force-conflicts", "--validate=false", *named)

    def kubeconfig_for_user(
        self, path: Path, user: str, groups: Sequence[str] = (), namespace: str = "default"
    ) -> Path:
        """Write a kubeconfig of a user and his groups, by a certificate this cluster trusts."""
        pair = self._authority.issue(user, groups)
        ca = self._authority.own.certificate
        return kubeconfig.with_certificate(path, self._components.server, ca, user, pair, namespace)

    def kubeconfig_for_service_account(self, path: Path, name: str, namespace: str) -> Path:
        """Write a kubeconfig with a fresh token of a service account, good for a day."""
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", "--duration=24h")
        ca = self._authority.own.certificate
        return kubeconfig.with_token(
            path, self._components.server, ca, name, token.strip(), namespace
        )

    def write_pod_log(self, path: Path, text: str) -> Path:
        """Write lines in a container runtime's format, to be named by a pod's annotation."""
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{stamp} stdout F {line}\n" for line in text.splitlines()))
        return path

    def _kubectl(
        self, arguments: Sequence[str], stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [str(self.kubectl_path), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def _ports(self) -> dict[str, int]:
        """Free ports when the cluster is new, and the same ones ever after."""
        path = self.folder / "ports.json"
        known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        missing = [name for name in PORTS if name not in known]
        if missing:
            known |= free_ports(missing)
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(known))
        return known

    def _stages(self) -> Path:
        """What kwok plays: its own stages for nodes and ends, and ours for pods."""
        logs = self.folder / "pod-logs"
        self.write_pod_log(logs / "started.log", "started")
        self.write_pod_log(logs / "crash-loop.log", "starting\nno such model")
        self.write_pod_log(logs / "crash-loop-previous.log", "starting\nno such model")
        sources = [
            *(
                path
                for path in sorted((built(KWOK_MODULE) / "stages").glob("*.yaml"))
                if path.name != "pod-delete.yaml"
            ),
            MANIFESTS / "stages.yaml",
        ]
        text = "\n---\n".join(source.read_text() for source in sources)
        path = self.folder / "stages.yaml"
        path.write_text(text.replace("@LOGS@", str(logs)))
        return path

    def _api_server_ready(self) -> bool:
        return self._kubectl(["get", "--raw=/readyz"]).returncode == 0

    def _apply_all(self) -> None:
        """The kinds beyond Kubernetes' own, and the nodes."""
        kinds = [built(module) / "crds" for module in (KWOK_MODULE, GATEWAY_API, ISTIO)]
        paths = [*kinds, MANIFESTS / "namespaces.yaml", MANIFESTS / "nodes.yaml"]
        wait = ["wait", "crd", "--all", "--for=condition=Established", "--timeout=20s"]
        self.apply(*paths)
        if self._kubectl(wait).returncode:
            # An API server that ended while it took up a kind never takes it up again.
            self.kubectl("delete", "crd", *self._kinds_not_taken_up())
            self.apply(*paths)
            self.kubectl(*wait)

    def _kinds_not_taken_up(self) -> list[str]:
        found = json.loads(self.kubectl("get", "crd", "--output=json"))["items"]
        return [
            kind["metadata"]["name"]
            for kind in found
            if not any(
                condition["type"] == "Established" and condition["status"] == "True"
                for condition in kind.get("status", {}).get("conditions", [])
            )
        ]

    def _class_accepted(self) -> bool:
        path = '--output=jsonpath={.status.conditions[?(@.type=="Accepted")].status}'
        asked = self._kubectl(["get", "gatewayclass", istio.GATEWAY_CLASS, path])
        return asked.stdout == "True"

    def _nodes_ready(self) -> bool:
        """Every node is Ready and no taint keeps pods from it but the ones it was given."""
        nodes = json.loads(self.kubectl("get", "nodes", "--output=json"))["items"]
        return len(nodes) > 0 and all(_ready(node) for node in nodes)


def _ready(node: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = node["status"].get("conditions", [])
    taints = node["spec"].get("taints", [])
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    ) and not any(taint["key"].startswith("node.kubernetes.io/") for taint in taints)
