"""weir cluster: AKS clusters made, attached, waited for, scaled, forgotten and deleted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weir.azure.cluster_plan import Bounds
from weir.cli import cluster_options as options
from weir.cli import saved_clusters
from weir.cli.cluster_begun import bring_about, tell_ready
from weir.cli.cluster_words import listed, still_there
from weir.cli.output import complain, err, escape, out
from weir.cli.waiting import told_what_is_awaited
from weir.errors import UserError

if TYPE_CHECKING:
    from blocks import AzureCluster

app = typer.Typer(
    name="cluster",
    help="AKS clusters: create, attach, wait, list, scale, detach, delete.\n\n"
    "What az ml computetarget create aks and attach aks did for Azure ML.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def create(
    name: options.Name,
    subscription: options.Subscription = None,
    resource_group: options.Group = None,
    cluster_name: options.ClusterName = None,
    location: options.Location = None,
    agent_count: options.AgentCount = None,
    vm_size: options.VmSize = None,
    cluster_purpose: options.ClusterPurpose = None,
    kubernetes_version: options.KubernetesVersion = None,
    min_count: options.MinCount = None,
    max_count: options.MaxCount = None,
    zone: options.Zones = None,
    gpu_vm_size: options.GpuVmSize = None,
    gpu_agent_count: options.GpuCount = None,
    vnet_name: options.Vnet = None,
    vnet_resource_group: options.VnetGroup = None,
    subnet_name: options.Subnet = None,
    service_cidr: options.ServiceCidr = None,
    dns_service_ip: options.DnsServiceIp = None,
    private_cluster: options.Private = None,
    load_balancer_type: options.LoadBalancerType = None,
    load_balancer_subnet: options.LoadBalancerSubnet = None,
    entra_id: options.EntraId = None,
    no_gateway_api: options.NoGatewayApi = False,
    tag: options.Tags = None,
    registry: options.Registry = None,
    identity: options.IdentityName = None,
    access: options.AccessBy = None,
    namespace: options.Namespace = None,
    file: options.File = None,
    no_wait: options.NoWait = False,
) -> None:
    """Create an AKS cluster, save it, and wait until it is ready: about 20 minutes.

    A cluster that is there and fits is attached; one that differs is shown, and left as it is.
    Running it again goes on where it stopped.
    """
    gpu = options.given(vm_size=gpu_vm_size, agent_count=gpu_agent_count)
    plan = options.given(
        location=location,
        agent_count=agent_count,
        vm_size=vm_size,
        cluster_purpose=cluster_purpose,
        kubernetes_version=kubernetes_version,
        autoscale=options.bounds(min_count, max_count),
        zones=zone,
        gpu=gpu,
        vnet_name=vnet_name,
        vnet_resource_group=vnet_resource_group,
        subnet_name=subnet_name,
        service_cidr=service_cidr,
        dns_service_ip=dns_service_ip,
        private_cluster=private_cluster,
        entra_id=entra_id,
        gateway_api=False if no_gateway_api else None,
        tags=options.tags(tag),
    )
    fields = options.given(
        subscription_id=subscription,
        resource_group=resource_group,
        cluster_name=cluster_name,
        load_balancer_type=load_balancer_type,
        load_balancer_subnet=load_balancer_subnet,
        registry=registry,
        identity=identity,
        access=access,
        namespace=namespace,
    )
    in_file = options.read_file(file)
    plan = {**(in_file.pop("create", None) or {}), **plan}
    present = saved_clusters.look_for(name)
    named = {} if present is not None or in_file.get("resource_id") else {"cluster_name": name}
    usual = {} if present is not None else {"create_namespace": True}
    if "location" not in plan and (present is None or present.create is None):
        raise UserError(
            "cluster.location",
            "a new cluster needs a location.",
            remedy="Give --location, or attach one that is there: weir cluster attach.",
            where="--location",
        )
    block = saved_clusters.changed(name, present, {**usual, **named, **in_file, **fields}, plan)
    _bring_about(name, block, no_wait=no_wait)


@app.command()
def attach(
    name: options.Name,
    subscription: options.Subscription = None,
    resource_group: options.Group = None,
    cluster_name: options.ClusterName = None,
    resource_id: Annotated[
        str | None,
        typer.Option("--resource-id", "-i", help="Instead of group and name: the resource id."),
    ] = None,
    registry: options.Registry = None,
    identity: options.IdentityName = None,
    access: options.AccessBy = None,
    namespace: options.Namespace = None,
    load_balancer_type: options.LoadBalancerType = None,
    load_balancer_subnet: options.LoadBalancerSubnet = None,
    file: options.File = None,
    no_wait: options.NoWait = False,
) -> None:
    """Save an AKS cluster that is there, in any region, and see that it is fit: about 5 minutes.

    By --resource-group and --cluster-name, or by --resource-id. weir deletes no cluster that it
    did not create.
    """
    # A subscription that only stands in the environment says nothing about which cluster it is.
    if resource_id and subscription and not (resource_group or cluster_name):
        subscription = None
    fields = options.given(
        subscription_id=subscription,
        resource_group=resource_group,
        cluster_name=cluster_name,
        resource_id=resource_id,
        registry=registry,
        identity=identity,
        access=access,
        namespace=namespace,
        load_balancer_type=load_balancer_type,
        load_balancer_subnet=load_balancer_subnet,
    )
    present = saved_clusters.look_for(name)
    in_file = options.read_file(file)
    is_named = present is not None or resource_id or in_file.get("resource_id")
    named = {} if is_named else {"cluster_name": name}
    block = saved_clusters.changed(name, present, {**named, **in_file, **fields}, {})
    _bring_about(name, block.model_copy(update={"create": None}), no_wait=no_wait)


@app.command()
def wait(name: options.Known) -> None:
    """Wait for whatever Azure does to a saved cluster, until it is ready or gone."""
    clusters = saved_clusters.load(name).clusters()
    with told_what_is_awaited() as say:
        found = clusters.provisioning.wait(say)
        if found is not None:
            clusters.ensure(say)
    if found is None:
        out.print(f"{name}: there is no such cluster (any more); weir cluster detach {name}")
        return
    tell_ready(name)


@app.command("list")
def list_clusters() -> None:
    """Show the saved clusters: state, region, nodes, Kubernetes version, and whether they fit."""
    known = saved_clusters.names()
    if not known:
        out.print("no cluster is saved; weir cluster create or attach saves one")
        return
    with out.status("asking Azure"):
        blocks = {name: saved_clusters.load(name) for name in known}
        table, troubles = listed({name: block.clusters for name, block in blocks.items()})
    for line in table:
        out.print(escape(line))
    for trouble in troubles:
        complain(trouble)
    sys.exit(1 if troubles else 0)


@app.command()
def scale(
    name: options.Known,
    agent_count: Annotated[int, typer.Option(min=1, help="Nodes from now on.")],
    min_count: options.MinCount = None,
    max_count: options.MaxCount = None,
    no_autoscaler: Annotated[
        bool, typer.Option("--no-autoscaler", help="Switch the pool's autoscaler off.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="The pool with GPUs.")] = False,
    vm_size: Annotated[str | None, typer.Option(hidden=True)] = None,
    no_wait: options.NoWait = False,
) -> None:
    """Change how many nodes a cluster has, and wait: about 5 minutes. Their size stays."""
    if vm_size is not None:
        raise UserError(
            "cluster.vm_size",
            "the size of nodes that are there cannot be changed.",
            remedy="Make another cluster with that size: weir cluster create.",
            where="--vm-size",
        )
    given = options.bounds(min_count, max_count)
    block = saved_clusters.load(name)
    clusters = block.clusters()
    bounds = Bounds(**given) if given else None
    with told_what_is_awaited() as say:
        was = clusters.scale(agent_count, bounds, say, gpu=gpu, no_autoscaler=no_autoscaler)
    _save_scaled(name, block, agent_count, given, gpu=gpu)
    if not no_wait:
        with told_what_is_awaited() as say:
            clusters.provisioning.await_settled(say)
    now = f"autoscaler {bounds}" if bounds else f"{agent_count} nodes"
    out.print(f"{name}: {now} (was {was}){'; weir cluster wait ' + name if no_wait else ''}")


@app.command()
def detach(name: options.Known) -> None:
    """Forget a cluster. It goes on running, with everything in it, and costs what it costs."""
    block = saved_clusters.load(name)
    with out.status("looking what is there"):
        lines = still_there(block)
    saved_clusters.forget(name)
    out.print(f"forgot {name}; nothing was deleted")
    for line in lines:
        out.print(escape(line))


@app.command()
def delete(
    name: options.Known,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    no_wait: options.NoWait = False,
) -> None:
    """Delete a cluster that weir created, with everything in it, and forget it."""
    block = saved_clusters.load(name)
    clusters = block.clusters()
    clusters.provisioning.require_deletable()
    if not yes:
        for line in still_there(block):
            out.print(escape(line))
        typed = typer.prompt(f"Type {name} to delete it for ever")
        if typed != name:
            err.print(f"that was not {name}; nothing was deleted")
            sys.exit(2)
    with told_what_is_awaited() as say:
        found = clusters.provisioning.delete(say)
    if no_wait and found is not None:
        out.print(f"{name}: Azure deletes it; weir cluster wait {name}, then detach it")
        return
    with told_what_is_awaited() as say:
        clusters.provisioning.await_settled(say)
    saved_clusters.forget(name)
    out.print(f"deleted {name}" if found is not None else f"{name} was gone; forgot it")


def _bring_about(name: str, block: AzureCluster, *, no_wait: bool) -> None:
    bring_about(name, block.clusters(), lambda: saved_clusters.save(block, name), no_wait=no_wait)


def _save_scaled(
    name: str, block: AzureCluster, count: int, bounds: dict[str, int] | None, *, gpu: bool
) -> None:
    """The plan says what is wanted from now on."""
    plan = block.create
    if plan is None or (gpu and plan.gpu is None):
        return
    change: dict[str, Any] = {"agent_count": count, "autoscale": bounds}
    if gpu and plan.gpu:
        change = {"gpu": {"vm_size": plan.gpu.vm_size, **change}}
    saved_clusters.save(saved_clusters.changed(name, block, {}, change), name)
