"""istiod outside a cluster, set up as AKS's application routing sets it up.

It is the controller behind the GatewayClass ``approuting-istio``: it deploys a proxy for every
Gateway of that class and writes the statuses of Gateways and HTTPRoutes. The proxies are fake pods.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster.build import binary, built
from tests.kubernetes.cluster.modules import ISTIO

ISTIOD = "istiod"
GATEWAY_CLASS = "approuting-istio"
CONTROLLER = "istio.aks.azure.com/gateway-controller"
NAMESPACE = "aks-istio-system"

PORTS = ("istiod", "istiod-grpc", "istiod-monitoring")

ENVIRONMENT = {
    "PILOT_GATEWAY_API_DEFAULT_GATEWAYCLASS_NAME": GATEWAY_CLASS,
    "PILOT_GATEWAY_API_CONTROLLER_NAME": CONTROLLER,
    "POD_NAME": "istiod-0",
    "POD_NAMESPACE": NAMESPACE,
    "CLUSTER_ID": "Kubernetes",
    "REVISION": "default",
    # There is one istiod, and no webhook of it in the cluster.
    "ENABLE_LEADER_ELECTION": "false",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "PILOT_ENABLE_AMBIENT": "false",
    # A status follows a change at once; usual are 100 ms.
    "PILOT_DEBOUNCE_AFTER": "10ms",
}


def command(folder: Path, ports: dict[str, int], kubeconfig: Path) -> list[str]:
    """The command line of istiod, whose files are below ``folder``."""
    _write_templates(folder)
    return [
        str(binary("pilot-discovery")),
        "discovery",
        f"--kubeconfig={kubeconfig}",
        f"--namespace={NAMESPACE}",
        f"--httpAddr=127.0.0.1:{ports['istiod']}",
        "--httpsAddr=",
        "--grpcAddr=",
        f"--secureGRPCAddr=127.0.0.1:{ports['istiod-grpc']}",
        f"--monitoringAddr=127.0.0.1:{ports['istiod-monitoring']}",
        "--ctrlz_port=0",
        f"--meshConfig={folder / 'mesh'}",
        "--profile=false",
    ]


def _write_templates(folder: Path) -> None:
    """What istiod renders a Gateway's proxy with: the chart's own template and values."""
    inject = folder / "var" / "lib" / "istio" / "inject"
    inject.mkdir(parents=True, exist_ok=True)
    chart = built(ISTIO) / "chart"
    config = {
        "policy": "disabled",
        "defaultTemplates": [],
        "templates": {"kube-gateway": (chart / "kube-gateway.yaml").read_text()},
    }
    (inject / "config").write_text(yaml.safe_dump(config))
    defaults: dict[str, Any] = yaml.safe_load((chart / "values.yaml").read_text())
    values = defaults["_internal_defaults_do_not_set"]
    values["global"]["istioNamespace"] = NAMESPACE
    chosen = {name: values.get(name, {}) for name in ("global", "sidecarInjectorWebhook")}
    chosen |= {"revision": "", "gateways": {}, "pilot": {"cni": values["cni"], "env": {}}}
    (inject / "values").write_text(json.dumps(chosen))
    mesh = {"rootNamespace": NAMESPACE, "trustDomain": "cluster.local"}
    (folder / "mesh").write_text(yaml.safe_dump(mesh))
