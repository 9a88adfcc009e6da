"""Where the settings of Azure ML's files and SDK stand in a release file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Moved:
    """One setting: its ``name`` in Azure ML, the ``field`` here ("" when there is none), a note."""

    name: str
    field: str
    note: str = ""


INFERENCE_CONFIG = (
    Moved("entryScript", "inference.entry_script", "relative to source_directory"),
    Moved("sourceDirectory", "inference.source_directory", "relative to the release file"),
    Moved("environment", "inference.conda_file", "or its pip packages in inference.requirements"),
    Moved("condaFile", "inference.conda_file", "of an image; here its pip section alone"),
    Moved("runtime", "", "Python: of the image, or the one that runs weir"),
    Moved("baseImage", "inference.base_image", "of an image; a finished one is inference.image"),
    Moved("enableGpu", "inference.enable_gpu", "and deployment.gpu_cores for the processors"),
    Moved(
        "extraDockerfileSteps",
        "inference.extra_dockerfile_steps",
        "run before the environment is installed",
    ),
)

DEPLOYMENT_CONFIG = (
    Moved("computeType", "", "the platform is chosen when weir is run"),
    Moved("numReplicas", "deployment.num_replicas"),
    Moved("autoScaler.autoscaleEnabled", "deployment.autoscale_enabled"),
    Moved("autoScaler.minReplicas", "deployment.autoscale_min_replicas"),
    Moved("autoScaler.maxReplicas", "deployment.autoscale_max_replicas"),
    Moved("autoScaler.refreshPeriodInSeconds", "deployment.autoscale_refresh_seconds"),
    Moved("autoScaler.targetUtilization", "deployment.autoscale_target_utilization"),
    Moved("containerResourceRequirements.cpu", "deployment.cpu_cores"),
    Moved("containerResourceRequirements.memoryInGB", "deployment.memory_gb"),
    Moved("containerResourceRequirements.gpu", "deployment.gpu_cores"),
    Moved("gpuCores", "deployment.gpu_cores"),
    Moved("scoringTimeoutMs", "deployment.scoring_timeout_ms"),
    Moved("maxConcurrentRequestsPerContainer", "deployment.replica_max_concurrent_requests"),
    Moved("maxQueueWaitMs", "deployment.max_request_wait_time"),
    Moved("livenessProbeRequirements.periodSeconds", "deployment.liveness.period_seconds"),
    Moved(
        "livenessProbeRequirements.initialDelaySeconds", "deployment.liveness.initial_delay_seconds"
    ),
    Moved("livenessProbeRequirements.timeoutSeconds", "deployment.liveness.timeout_seconds"),
    Moved("livenessProbeRequirements.successThreshold", "deployment.liveness.success_threshold"),
    Moved("livenessProbeRequirements.failureThreshold", "deployment.liveness.failure_threshold"),
    Moved("authEnabled", "endpoint.auth_enabled", "of the endpoint, not of a version"),
    Moved("tokenAuthEnabled", "", "a cluster's platform block may ask for tokens"),
    Moved("keys", "", "made by weir, kept outside the release file"),
    Moved("dataCollection.storageEnabled", "", "requests are counted, their bodies are not kept"),
    Moved("appInsightsEnabled", "", "always on: evidence is read from telemetry"),
    Moved("namespace", "", "of the cluster's platform block"),
)

SDK = (
    Moved("version_name", "version_name", "required, no default"),
    Moved("traffic_percentile", "rollout.steps", "a rollout assigns percentiles, step by step"),
    Moved("is_default", "", "promotion makes a version the default"),
    Moved("is_control_version_type", "", "promotion makes a version the control"),
    Moved("collect_model_data", "", "requests are counted, their bodies are not kept"),
    Moved("enable_app_insights", "", "always on: evidence is read from telemetry"),
    Moved("token_auth_enabled", "", "a cluster's platform block may ask for tokens"),
    Moved("primary_key, secondary_key", "", "made by weir, kept outside the release file"),
    Moved("period_seconds", "deployment.liveness.period_seconds"),
    Moved("initial_delay_seconds", "deployment.liveness.initial_delay_seconds"),
    Moved("timeout_seconds", "deployment.liveness.timeout_seconds"),
    Moved("success_threshold", "deployment.liveness.success_threshold"),
    Moved("failure_threshold", "deployment.liveness.failure_threshold"),
)


def moved(name: str) -> Moved | None:
    """What became of the Azure ML setting ``name``; None when there was none of that name."""
    for setting in (*INFERENCE_CONFIG, *DEPLOYMENT_CONFIG, *SDK):
        if name in (setting.name, setting.name.rsplit(".", 1)[-1], setting.name.split(".")[0]):
            return setting
    return None
