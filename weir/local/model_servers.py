"""How a replica is started: the process spec of one copy of a version. Pure."""

from __future__ import annotations

from pathlib import Path

from weir.endpoint import Version
from weir.local.images import ImageFolder
from weir.local.processes import Probe, ProcessSpec
from weir.serving import (
    busy_seconds,
    command_arguments,
    common_environment,
    entry_script_arguments,
    entry_script_environment,
    grace_seconds,
)

_READINESS_PERIOD_SECONDS = 1.0


def replica_name(endpoint: str, version: str, number: int) -> str:
    return f"{endpoint}.{version}.{number}"


def replica_spec(endpoint: str, version: Version, number: int, image: ImageFolder) -> ProcessSpec:
    """The process of replica ``number`` (from 0) of ``version``.

    A laptop gives no guarantee of cores or memory.
    """
    inference, liveness = version.inference, version.deployment.liveness
    timeout_seconds = liveness.timeout_seconds + busy_seconds(version)
    return ProcessSpec(
        name=replica_name(endpoint, version.name, number),
        argv=_command(version, image) or _entry_script_server(version, image),
        env=_environment(version, image),
        cwd=str(image.source),
        needs_port=True,
        readiness=Probe(
            "http",
            inference.health_path,
            period_seconds=_READINESS_PERIOD_SECONDS,
            timeout_seconds=timeout_seconds,
            failure_threshold=liveness.failure_threshold,
            success_threshold=liveness.success_threshold,
        ),
        liveness=Probe(
            "http",
            inference.health_path,
            period_seconds=liveness.period_seconds,
            timeout_seconds=timeout_seconds,
            initial_delay_seconds=liveness.initial_delay_seconds,
            failure_threshold=liveness.failure_threshold,
        ),
        grace_seconds=grace_seconds(version),
        labels={"endpoint": endpoint, "version": version.name},
    )


def _command(version: Version, image: ImageFolder) -> tuple[str, ...] | None:
    command = version.inference.command
    if command is None:
        return None
    filled = list(command_arguments(command, str(image.model), str(image.source)))
    if "/" not in filled[0] and image.environment is not None:
        # The supervisor looks a program up in its own PATH, not in the replica's.
        own = image.environment / "bin" / filled[0]
        filled[0] = str(own) if own.exists() else filled[0]
    elif "/" in filled[0] and not Path(filled[0]).is_absolute():
        filled[0] = str(image.source / filled[0])
    return tuple(filled)


def _entry_script_server(version: Version, image: ImageFolder) -> tuple[str, ...]:
    if image.environment is None:
        raise ValueError("an entry script needs an environment")
    python = str(image.environment / "bin" / "python")
    return entry_script_arguments(version, python, "{port}")


def _environment(version: Version, image: ImageFolder) -> dict[str, str]:
    chosen = {
        **common_environment(version),
        **version.inference.environment_variables,
        "AZUREML_MODEL_DIR": str(image.model),
    }
    if image.environment is not None:
        chosen["VIRTUAL_ENV"] = str(image.environment)
        chosen["PATH"] = f"{image.environment / 'bin'}:{_SYSTEM_PATH}"
    return chosen | entry_script_environment(version, str(image.source))


_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
