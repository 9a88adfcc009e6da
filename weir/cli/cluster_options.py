"""What can be said of a cluster on the command line, as fields of its block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from weir.azure.cluster_plan import Purpose
from weir.errors import UserError


class Access(StrEnum):
    AAD = "aad"
    ADMIN = "admin"


class LoadBalancer(StrEnum):
    PUBLIC = "PublicIp"
    INTERNAL = "InternalLoadBalancer"


Name = Annotated[str, typer.Argument(help="Name to save it by, for weir-azure-cluster/NAME.")]
Known = Annotated[str, typer.Argument(help="Name of the saved cluster.")]
File = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="YAML with any fields of the block AzureCluster; options go before it."
    ),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return once Azure has begun; weir cluster wait waits.")
]
Subscription = Annotated[
    str | None, typer.Option(envvar="AZURE_SUBSCRIPTION_ID", help="Subscription id.")
]
Group = Annotated[str | None, typer.Option("--resource-group", "-g", help="Resource group.")]
ClusterName = Annotated[
    str | None, typer.Option(help="What it is called in Azure; NAME when left out.")
]
IdentityName = Annotated[
    str | None,
    typer.Option("--identity", help="Saved block weir Azure Identity; as az login when left out."),
]
Registry = Annotated[
    str | None,
    typer.Option(
        "--registry", help="Container registry to pull from: its resource id, or its name."
    ),
]
AccessBy = Annotated[
    Access | None, typer.Option("--access", help="Into the cluster by token, or as its admin.")
]
Namespace = Annotated[str | None, typer.Option(help="Namespace of the endpoints; weir.")]
LoadBalancerType = Annotated[
    LoadBalancer | None, typer.Option(help="Of the endpoints' Gateways; PublicIp.")
]
LoadBalancerSubnet = Annotated[str | None, typer.Option(help="With InternalLoadBalancer.")]

Location = Annotated[str | None, typer.Option("--location", "-l", help="Region.")]
AgentCount = Annotated[
    int | None, typer.Option(min=1, help="Nodes; 3, or 1 for DevTest.", show_default=False)
]
VmSize = Annotated[str | None, typer.Option(help="Size of the nodes; Standard_D4s_v5.")]
ClusterPurpose = Annotated[
    Purpose | None, typer.Option(help="FastProd needs 12 vCPUs altogether; DevTest any number.")
]
KubernetesVersion = Annotated[str | None, typer.Option(help="Azure's default when left out.")]
Vnet = Annotated[
    str | None, typer.Option(help="Virtual network; then the next three belong to it.")
]
VnetGroup = Annotated[str | None, typer.Option(help="Where the virtual network is.")]
Subnet = Annotated[str | None, typer.Option(help="Subnet of the nodes.")]
ServiceCidr = Annotated[str | None, typer.Option(help="Addresses of services: 10.2.0.0/16.")]
DnsServiceIp = Annotated[str | None, typer.Option(help="One of them: 10.2.0.10.")]
Private = Annotated[
    bool | None,
    typer.Option("--private-cluster", help="No public address for the API server."),
]
Zones = Annotated[list[str] | None, typer.Option("--zone", help="Availability zone; repeatable.")]
GpuVmSize = Annotated[str | None, typer.Option(help="Adds a pool with GPUs, of this size.")]
GpuCount = Annotated[int | None, typer.Option("--gpu-agent-count", min=1, help="Its nodes; 1.")]
MinCount = Annotated[int | None, typer.Option(min=1, help="Fewest nodes of the autoscaler.")]
MaxCount = Annotated[int | None, typer.Option(min=1, help="Most nodes of the autoscaler.")]
EntraId = Annotated[
    bool | None, typer.Option("--entra-id", help="Entra ID says who may do what inside.")
]
NoGatewayApi = Annotated[
    bool, typer.Option("--no-gateway-api", help="Without the managed Gateway API.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="KEY=VALUE; repeatable.")]


def read_file(path: Path | None) -> dict[str, Any]:
    """The block's fields in a file. Raises UserError ``cluster.file``."""
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be read") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _unreadable(path, "it is no YAML") from None
    if not isinstance(found, dict):
        raise _unreadable(path, "it holds no fields")
    if not isinstance(found.get("create") or {}, dict):
        raise _unreadable(path, "its field create holds no fields, such as location")
    return found


def given(**options: Any) -> dict[str, Any]:
    """Those that were said."""
    return {name: value for name, value in options.items() if value not in (None, "", [], (), {})}


def bounds(minimum: int | None, maximum: int | None) -> dict[str, int] | None:
    """Of the autoscaler; None for neither. Raises UserError ``cluster.nodes`` for one alone."""
    if minimum is None and maximum is None:
        return None
    if minimum is None or maximum is None:
        missing = "--min-count" if minimum is None else "--max-count"
        raise UserError(
            "cluster.nodes",
            f"the autoscaler needs {missing} as well.",
            remedy="Give --min-count and --max-count, or neither.",
            where=missing,
        )
    return {"minimum": minimum, "maximum": maximum}


def tags(pairs: Iterable[str] | None) -> Mapping[str, str] | None:
    """Raises UserError ``cluster.tags``."""
    if not pairs:
        return None
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not key or not sign:
            raise UserError(
                "cluster.tags",
                f"{pair!r} is no tag.",
                remedy="Give it as KEY=VALUE.",
                where="--tag",
            )
        found[key] = value
    return found


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        "cluster.file", f"{why}.", remedy="Correct --file; docs/azure.md has one.", where=str(path)
    )
