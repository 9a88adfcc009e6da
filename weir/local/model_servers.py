"""How a replica is started: the process spec of one copy of a version. Pure."""

from __future__ import annotations

from pathlib import Path

from weir.endpoint import Version
from weir.local.images import ImageFolder
from weir.local.processes import Probe, ProcessSpec

LONGEST_GRACE_SECONDS = 120.0

_READINESS_PERIOD_SECONDS = 1.0
_GATEWAY_FIRST_MS = 500
_WORKER_MARGIN_SECONDS = 30


def replica_name(endpoint: str, version: str, number: int) -> str:
    return f"{endpoint}.{version}.{number}"


def replica_spec(endpoint: str, version: Version, number: int, image: ImageFolder) -> ProcessSpec:
    """The process of replica ``number`` (from 0) of ``version``.

    cpu_cores only sizes the thread pools of numeric libraries; a laptop gives no guarantee of
    cores or memory.
    """
    deployment, inference = version.deployment, version.inference
    scoring_seconds = deployment.scoring_timeout_ms / 1000
    grace_seconds = min(scoring_seconds, LONGEST_GRACE_SECONDS) + 5
    liveness = deployment.liveness
    # Workers of the entry script's server answer probes and requests one after the other: while
    # all of them score, a probe waits. Busy is not dead.
    busy_seconds = scoring_seconds if inference.command is None else 0.0
    argv = _command(version, image) or _entry_script_server(version, image, grace_seconds)
    return ProcessSpec(
        name=replica_name(endpoint, version.name, number),
        argv=argv,
        env=_environment(version, image),
        cwd=str(image.source),
        needs_port=True,
        readiness=Probe(
            "http",
            inference.health_path,
            period_seconds=_READINESS_PERIOD_SECONDS,
            timeout_seconds=liveness.timeout_seconds + busy_seconds,
            failure_threshold=liveness.failure_threshold,
            success_threshold=liveness.success_threshold,
        ),
        liveness=Probe(
            "http",
            inference.health_path,
            period_seconds=liveness.period_seconds,
            timeout_seconds=liveness.timeout_seconds + busy_seconds,
            initial_delay_seconds=liveness.initial_delay_seconds,
            failure_threshold=liveness.failure_threshold,
        ),
        grace_seconds=grace_seconds,
        labels={"endpoint": endpoint, "version": version.name},
    )


def _command(version: Version, image: ImageFolder) -> tuple[str, ...] | None:
    command = version.inference.command
    if command is None:
        return None
    places = {"{model_dir}": str(image.model), "{source_dir}": str(image.source)}
    filled = list(command)
    for name, place in places.items():
        filled = [argument.replace(name, place) for argument in filled]
    if "/" not in filled[0] and image.environment is not None:
        # The supervisor looks a program up in its own PATH, not in the replica's.
        own = image.environment / "bin" / filled[0]
        filled[0] = str(own) if own.exists() else filled[0]
    elif "/" in filled[0] and not Path(filled[0]).is_absolute():
        filled[0] = str(image.source / filled[0])
    return tuple(filled)


def _entry_script_server(
    version: Version, image: ImageFolder, grace_seconds: float
) -> tuple[str, ...]:
    """gunicorn itself: the server's own command would listen on every network interface."""
    if image.environment is None:
        raise ValueError("an entry script needs an environment")
    deployment = version.deployment
    # gunicorn's timeout covers loading the model too, and ends a worker that hangs beyond what
    # the scoring timeout can interrupt.
    longest = max(deployment.ready_timeout_seconds, deployment.scoring_timeout_ms / 1000)
    return (
        *(str(image.environment / "bin" / "python"), "-m", "gunicorn"),
        *("--bind", "127.0.0.1:{port}"),
        *("--workers", _worker_count(version)),
        *("--timeout", str(int(longest) + _WORKER_MARGIN_SECONDS)),
        *("--graceful-timeout", str(int(grace_seconds))),
        "--no-control-socket",
        "azureml_inference_server_http.server.entry:app",
    )


def _worker_count(version: Version) -> str:
    """Each worker is a process with a model of its own, so only who asks for more gets more.

    Concurrent requests beyond the workers wait in the server, as on Azure ML.
    """
    return version.inference.environment_variables.get("WORKER_COUNT", "1")


def _environment(version: Version, image: ImageFolder) -> dict[str, str]:
    deployment, inference = version.deployment, version.inference
    cores = max(1, round(deployment.cpu_cores_limit or deployment.cpu_cores))
    chosen = {
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(cores),
        **inference.environment_variables,
        "AZUREML_MODEL_DIR": str(image.model),
    }
    if image.environment is not None:
        chosen["VIRTUAL_ENV"] = str(image.environment)
        chosen["PATH"] = f"{image.environment / 'bin'}:{_SYSTEM_PATH}"
    if inference.entry_script is not None:
        chosen |= {
            "AZUREML_ENTRY_SCRIPT": str(image.source / inference.entry_script),
            "AML_APP_ROOT": str(image.source),
            "AML_APP_INSIGHTS_ENABLED": "false",
            "WORKER_COUNT": _worker_count(version),
            # The gateway answers 504 first; then the worker is freed.
            "SCORING_TIMEOUT_MS": str(deployment.scoring_timeout_ms + _GATEWAY_FIRST_MS),
        }
    return chosen


_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
