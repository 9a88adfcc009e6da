"""The pod of a version: the model server, and weir's guard in front of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from weir.endpoint import Version
from weir.envoy.guard import (
    AUTH_DIRECTORY,
    AUTH_FILE,
    CONFIG_DIRECTORY,
    GUARD_PORT,
    MODEL_PORT,
    PROBE_PORT,
    RUN_DIRECTORY,
    guard_command,
    guard_environment,
)
from weir.kubernetes import names
from weir.kubernetes.expansion import verbatim
from weir.kubernetes.kinds import Object
from weir.kubernetes.settings import ClusterSettings, Toleration
from weir.serving import (
    IMAGE_MODEL,
    IMAGE_SOURCE,
    IMAGE_USER,
    LONGEST_GRACE_SECONDS,
    busy_seconds,
    command_arguments,
    common_environment,
    entry_script_arguments,
    entry_script_environment,
    grace_seconds,
)

MODEL = "model"
GUARD = "guard"

PROPAGATION_SECONDS = 10
"""How long gateways may go on sending to a pod that is being deleted."""

_DRAIN_MARGIN = 5
"""Waiting for a slot is asking again and again, and takes about as long as it may."""

_V1 = {"apiVersion": "v1"}
_GUARD_CPU, _GUARD_MEMORY, _GUARD_MEMORY_LIMIT = "100m", "96Mi", "512Mi"


def pod_template(
    endpoint: str, version: Version, settings: ClusterSettings, guard_digest: str
) -> Object:
    """The template of a version's pods. ``guard_digest`` changes with the guard's configuration."""
    has_gpu = version.deployment.gpu_cores > 0
    selector = dict(settings.node_selector) | (dict(settings.gpu_node_selector) if has_gpu else {})
    tolerations = settings.tolerations + (settings.gpu_tolerations if has_gpu else ())
    drain_seconds = _drain_seconds(version)
    spec: Object = {
        "serviceAccountName": names.of_version(endpoint, version.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": math.ceil(drain_seconds + grace_seconds(version)) + 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": IMAGE_USER,
            "runAsGroup": IMAGE_USER,
            "fsGroup": IMAGE_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            _spread(endpoint, version.name, key)
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        # A sidecar starts before the model server and ends after it.
        "initContainers": [_guard(settings)],
        "containers": [_model(version, settings, drain_seconds)],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "guard-run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {
                "name": "guard-config",
                "configMap": {"name": names.of_version(endpoint, version.name)},
            },
            {
                "name": "guard-auth",
                "secret": {
                    "secretName": names.of_keys(endpoint),
                    "items": [{"key": AUTH_FILE, "path": AUTH_FILE}],
                    "defaultMode": 0o440,
                },
            },
        ],
    }
    if selector:
        spec["nodeSelector"] = selector
    if tolerations:
        spec["tolerations"] = [_toleration(one) for one in tolerations]
    if settings.image_pull_secret:
        spec["imagePullSecrets"] = [{"name": settings.image_pull_secret}]
    return {
        "metadata": {
            "labels": names.version_labels(endpoint, version.name),
            "annotations": {"weir/guard-config": guard_digest},
        },
        "spec": spec,
    }


def _model(version: Version, settings: ClusterSettings, drain_seconds: int) -> Object:
    liveness = version.deployment.liveness
    timeout_seconds = math.ceil(liveness.timeout_seconds + busy_seconds(version))
    probe = {
        "httpGet": {"path": version.inference.health_path, "port": PROBE_PORT},
        "timeoutSeconds": timeout_seconds,
        "failureThreshold": liveness.failure_threshold,
    }
    container: Object = {
        "name": MODEL,
        "image": version.image,
        "env": [
            {"name": name, "value": verbatim(value)}
            for name, value in sorted(_environment(version).items())
        ],
        "resources": _resources(version, settings.gpu_resource),
        "securityContext": _security(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "readinessProbe": {
            **probe,
            "periodSeconds": 1,
            "successThreshold": liveness.success_threshold,
        },
        "livenessProbe": {
            **probe,
            "periodSeconds": math.ceil(liveness.period_seconds),
            "initialDelaySeconds": math.ceil(liveness.initial_delay_seconds),
            "successThreshold": 1,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": drain_seconds}}},
    }
    arguments = _arguments(version)
    if arguments:
        container["command"] = [verbatim(argument) for argument in arguments]
    return container


def _guard(settings: ClusterSettings) -> Object:
    listens = {"tcpSocket": {"port": GUARD_PORT}}
    return {
        "name": GUARD,
        "image": settings.guard_image,
        "restartPolicy": "Always",
        "command": ["envoy"],
        "args": list(guard_command()),
        "env": [
            # Its version is the API server's default; unsaid, that would pass for another's field.
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {**_V1, "fieldPath": "metadata.name"}}},
            *({"name": name, "value": value} for name, value in guard_environment().items()),
        ],
        "ports": [
            {"name": "scoring", "containerPort": GUARD_PORT, "protocol": "TCP"},
            {"name": "probe", "containerPort": PROBE_PORT, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": _GUARD_CPU, "memory": _GUARD_MEMORY},
            "limits": {"memory": _GUARD_MEMORY_LIMIT},
        },
        "securityContext": _security(),
        "startupProbe": {**listens, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**listens, "periodSeconds": 5},
        "volumeMounts": [
            {"name": "guard-config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "guard-auth", "mountPath": AUTH_DIRECTORY, "readOnly": True},
            {"name": "guard-run", "mountPath": RUN_DIRECTORY},
        ],
    }


def _drain_seconds(version: Version) -> int:
    """How long a model server is left alone before it is told to end: until it has nothing left.

    No server is told earlier, because none can be relied on to answer what it has accepted and not
    begun: gunicorn lets go of what waits behind its workers. A request comes at the latest when the
    last gateway has heard of the pod's end, and the guard answers it, by 504 if need be, when it
    has waited for a slot and then for the scoring timeout, however many it shares the server with.
    """
    deployment = version.deployment
    longest = (deployment.max_request_wait_time + deployment.scoring_timeout_ms) / 1000
    return PROPAGATION_SECONDS + math.ceil(min(longest, LONGEST_GRACE_SECONDS) + _DRAIN_MARGIN)


def _arguments(version: Version) -> tuple[str, ...]:
    """Empty where the image's own entry point serves."""
    inference = version.inference
    if inference.entry_script is not None:
        return entry_script_arguments(version, "python", str(MODEL_PORT))
    filled = command_arguments(inference.command or (), IMAGE_MODEL, IMAGE_SOURCE)
    return tuple(argument.replace("{port}", str(MODEL_PORT)) for argument in filled)


def _environment(version: Version) -> dict[str, str]:
    # An image that somebody else built may have its parts elsewhere: the release file can say so.
    return {
        "PORT": str(MODEL_PORT),
        "HOME": "/tmp",
        **common_environment(version),
        "AZUREML_MODEL_DIR": IMAGE_MODEL,
        **entry_script_environment(version, IMAGE_SOURCE),
        **version.inference.environment_variables,
    }


def _resources(version: Version, gpu_resource: str) -> Object:
    deployment = version.deployment
    found: Object = {
        "requests": {
            "cpu": cores(deployment.cpu_cores),
            "memory": megabytes(deployment.memory_gb),
        }
    }
    limits = {}
    if deployment.cpu_cores_limit is not None:
        limits["cpu"] = cores(deployment.cpu_cores_limit)
    if deployment.memory_gb_limit is not None:
        limits["memory"] = megabytes(deployment.memory_gb_limit)
    if deployment.gpu_cores:
        limits[gpu_resource] = str(deployment.gpu_cores)
    if limits:
        found["limits"] = limits
    return found


def cores(number: float) -> str:
    """Cores as a quantity, rounded up to a thousandth: 0.1 is 100m."""
    thousandths = math.ceil(round(number * 1000, 6))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def megabytes(gigabytes: float) -> str:
    """Memory as a quantity, rounded up to a megabyte: 0.5 is 500M."""
    return f"{math.ceil(round(gigabytes * 1000, 6))}M"


def _security() -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _spread(endpoint: str, version: str, topology_key: str) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.version_selector(endpoint, version)},
    }


def _toleration(toleration: Toleration) -> Mapping[str, Any]:
    found = {"key": toleration.key, "operator": "Equal" if toleration.value else "Exists"}
    if toleration.value:
        found["value"] = toleration.value
    if toleration.effect:
        found["effect"] = toleration.effect
    return found
