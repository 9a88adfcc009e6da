"""The codes of Azure that weir knows a reason and a remedy for. Pure.

Sources: the Azure Resource Manager and AKS troubleshooting pages, and the error codes of Microsoft
Entra ID (AADSTS).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from weir.azure.said import Said


@dataclass(frozen=True)
class Known:
    reason: str
    remedy: str


CODES: Mapping[str, Known] = {
    "SubscriptionNotFound": Known(
        "azure.subscription_missing",
        "Correct subscription_id; az account list shows those that this identity sees.",
    ),
    "ResourceGroupNotFound": Known(
        "azure.resource_group_missing",
        "Correct resource_group, or make it: az group create --name GROUP --location REGION.",
    ),
    "ResourceNotFound": Known(
        "azure.resource_missing", "Correct its name, resource group and subscription."
    ),
    "InvalidAuthenticationTokenTenant": Known(
        "azure.tenant_wrong",
        "Set tenant_id to the tenant of the subscription: az account show --query tenantId.",
    ),
    "SkuNotAvailable": Known(
        "azure.sku_not_in_region",
        "Choose another vm_size or location: az vm list-skus --location REGION --size SIZE shows"
        " what there is.",
    ),
    "QuotaExceeded": Known(
        "azure.quota",
        "Ask for more vCPUs (Azure portal, Quotas), or choose fewer or smaller nodes.",
    ),
    "RequestDisallowedByPolicy": Known(
        "azure.policy_denied",
        "Give what the policy wants (often tags, a region or a private cluster), or have an"
        " exemption made.",
    ),
    "ServiceCidrOverlap": Known(
        "azure.cidr_overlap",
        "Choose a service_cidr, with dns_service_ip inside it, that no subnet of the virtual"
        " network overlaps.",
    ),
    "PodCidrOverlap": Known(
        "azure.cidr_overlap",
        "Choose a virtual network whose ranges leave out 10.244.0.0/16: pods have their addresses"
        " there.",
    ),
    "NameTaken": Known("azure.name_taken", "Choose another name."),
    "OperationNotAllowed": Known(
        "azure.busy_resource", "Wait until the operation under way has ended, then run again."
    ),
    "MissingSubscriptionRegistration": Known(
        "azure.provider_not_registered",
        "Register the resource provider: az provider register --namespace"
        " Microsoft.ContainerService.",
    ),
    "InvalidResourceLocation": Known(
        "azure.name_taken", "Choose another name, or the region in which it is already."
    ),
    "K8sVersionNotSupported": Known(
        "azure.kubernetes_version",
        "Choose a version that the region has: az aks get-versions --location REGION.",
    ),
    "TasksOperationsNotAllowed": Known(
        "azure.tasks_not_allowed",
        "Free subscriptions have no ACR Tasks: name the registry's host in image_registry, and"
        " buildah, podman or docker builds where weir runs; or ask Azure's support.",
    ),
    "SubnetIsFull": Known("azure.subnet_full", "Choose a larger subnet, or fewer nodes."),
    "AKSCapacityError": Known(
        "azure.no_capacity",
        "The region has no room for it now: choose another region or vm_size, or try later.",
    ),
}

_ALIASES: Mapping[str, str] = {
    "ErrCode_InsufficientVCPUQuota": "QuotaExceeded",
    "InsufficientVCPUQuota": "QuotaExceeded",
    "InsufficientQuota": "QuotaExceeded",
    "VMSizeNotSupported": "SkuNotAvailable",
    "AvailabilityZoneNotSupported": "SkuNotAvailable",
    "ServiceCidrOverlapExistingSubnetsCidr": "ServiceCidrOverlap",
    "PodCidrOverlapExistingSubnetsCidr": "PodCidrOverlap",
    "ServiceCidrConflict": "ServiceCidrOverlap",
    "AllocationFailed": "AKSCapacityError",
    "ZonalAllocationFailed": "AKSCapacityError",
    "OverconstrainedAllocationRequest": "AKSCapacityError",
    "AKSCapacityHeavyUsage": "AKSCapacityError",
    "InsufficientSubnetSize": "SubnetIsFull",
    "RequestDisallowedByAzure": "RequestDisallowedByPolicy",
    "PreconditionFailed": "OperationNotAllowed",
    "InvalidTenant": "InvalidAuthenticationTokenTenant",
    "AlreadyExists": "NameTaken",
    "NameNotAvailable": "NameTaken",
    "DnsRecordInUse": "NameTaken",
    "DnsPrefixInUse": "NameTaken",
    "ConflictingConcurrentWriteNotAllowed": "OperationNotAllowed",
    "EtagMismatch": "OperationNotAllowed",
    "K8sVersionNotSupported": "K8sVersionNotSupported",
    "AgentPoolK8sVersionNotSupported": "K8sVersionNotSupported",
    "UnsupportedKubernetesVersion": "K8sVersionNotSupported",
}

SIGN_IN: Mapping[str, Known] = {
    "AADSTS7000222": Known(
        "azure.secret_expired",
        "Make a new client secret (az ad app credential reset --id APPLICATION) and give it where"
        " the old one was: in the block's identity, or in AZURE_CLIENT_SECRET.",
    ),
    "AADSTS7000215": Known(
        "azure.secret_wrong",
        "Correct it in the block's identity, or in AZURE_CLIENT_SECRET: it is the secret's value,"
        " not its id.",
    ),
    "AADSTS700016": Known(
        "azure.application_unknown",
        "Correct client_id and tenant_id: the tenant has no such application.",
    ),
    "AADSTS90002": Known(
        "azure.tenant_wrong", "Correct tenant_id (or AZURE_TENANT_ID): there is no such tenant."
    ),
    "AADSTS900023": Known(
        "azure.tenant_wrong", "Correct tenant_id (or AZURE_TENANT_ID): there is no such tenant."
    ),
    # What the identity library says of an authority that knows of no such tenant.
    "Unable to get authority configuration": Known(
        "azure.tenant_wrong", "Correct tenant_id (or AZURE_TENANT_ID): there is no such tenant."
    ),
    "AADSTS700027": Known(
        "azure.certificate_wrong",
        "Upload the certificate to the application, or correct certificate_path.",
    ),
    "AADSTS70021": Known(
        "azure.federation_missing",
        "Add a federated credential for this cluster's issuer and service account to the identity.",
    ),
}


def known_code(said: Said) -> Known | None:
    """What weir knows of the code, or of one that the message tells."""
    # Compute calls a quota that is used up by the code of an operation that has to wait.
    if said.code == "OperationNotAllowed" and "quota" in said.message.lower():
        return CODES["QuotaExceeded"]
    for code in (said.code, *re.findall(r"\b[A-Z][A-Za-z0-9_]+\b", said.message)):
        found = CODES.get(_ALIASES.get(code, code))
        if found is not None:
            return found
    return None
