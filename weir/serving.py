"""How a model is served, wherever it runs. Pure: places, arguments and environment."""

from __future__ import annotations

from collections.abc import Sequence

from weir.endpoint import Version

SERVER = "azureml-inference-server-http==1.5.1"
"""The model server that runs entry scripts."""

SERVER_APPLICATION = "azureml_inference_server_http.server.entry:app"
"""What gunicorn serves of it."""

IMAGE_SOURCE = "/opt/weir/source"
IMAGE_MODEL = "/opt/weir/model/1"
"""Where an image that weir describes has its parts. The last part is the model's version, which the
Azure ML server wants to be a number."""

IMAGE_USER = 10001
"""The user and the group that an image's server runs as."""

LONGEST_GRACE_SECONDS = 120.0

_GATEWAY_FIRST_MS = 500
_WORKER_MARGIN_SECONDS = 30


def grace_seconds(version: Version) -> float:
    """How long a replica may go on answering after it was told to end."""
    return min(version.deployment.scoring_timeout_ms / 1000, LONGEST_GRACE_SECONDS) + 5


def busy_seconds(version: Version) -> float:
    """How much longer a probe may take because every worker scores: busy is not dead.

    Workers of the entry script's server answer probes and requests one after the other.
    """
    is_script = version.inference.entry_script is not None
    return version.deployment.scoring_timeout_ms / 1000 if is_script else 0.0


def entry_script_arguments(version: Version, python: str, port: str) -> tuple[str, ...]:
    """gunicorn itself: the server's own command would listen on every network interface."""
    deployment = version.deployment
    # gunicorn's timeout covers loading the model too, and ends a worker that hangs beyond what
    # the scoring timeout can interrupt.
    longest = max(deployment.ready_timeout_seconds, deployment.scoring_timeout_ms / 1000)
    return (
        *(python, "-m", "gunicorn"),
        *("--bind", f"127.0.0.1:{port}"),
        *("--workers", worker_count(version)),
        *("--timeout", str(int(longest) + _WORKER_MARGIN_SECONDS)),
        *("--graceful-timeout", str(int(grace_seconds(version)))),
        "--no-control-socket",
        SERVER_APPLICATION,
    )


def command_arguments(command: Sequence[str], model: str, source: str) -> tuple[str, ...]:
    """``command`` with the places of model and source filled in, and ``{port}`` left."""
    return tuple(
        argument.replace("{model_dir}", model).replace("{source_dir}", source)
        for argument in command
    )


def worker_count(version: Version) -> str:
    """Each worker is a process with a model of its own, so only who asks for more gets more.

    Concurrent requests beyond the workers wait in the server, as on Azure ML.
    """
    return version.inference.environment_variables.get("WORKER_COUNT", "1")


def common_environment(version: Version) -> dict[str, str]:
    """What every server finds set, unless the release file sets it otherwise.

    cpu_cores sizes the thread pools of numeric libraries.
    """
    deployment = version.deployment
    cores = max(1, round(deployment.cpu_cores_limit or deployment.cpu_cores))
    return {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(cores)}


def entry_script_environment(version: Version, source_directory: str) -> dict[str, str]:
    """What the entry script's server needs; nothing for another server."""
    inference = version.inference
    if inference.entry_script is None:
        return {}
    timeout_ms = version.deployment.scoring_timeout_ms
    return {
        **script_environment(inference.entry_script, source_directory),
        "WORKER_COUNT": worker_count(version),
        # The gateway answers 504 first; then the worker is freed.
        "SCORING_TIMEOUT_MS": str(timeout_ms + _GATEWAY_FIRST_MS),
    }


def script_environment(entry_script: str, source_directory: str) -> dict[str, str]:
    """Where the entry script's server finds it, whatever the deployment."""
    return {
        "AZUREML_ENTRY_SCRIPT": f"{source_directory}/{entry_script}",
        "AML_APP_ROOT": source_directory,
        "AML_APP_INSIGHTS_ENABLED": "false",
    }
