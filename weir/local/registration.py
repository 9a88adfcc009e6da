"""Telling Prefect that a model version was registered. A plain event; needs no Prefect client."""

from __future__ import annotations

import uuid

import requests

from weir.errors import TemporaryError
from weir.local.server import ServerAddress
from weir.ports import ModelVersion

EVENT = "weir.model-version.registered"
NAMESPACE = uuid.UUID("6a1c2f0e-7f43-4f0e-9a86-3d3f6f1f9b51")


def registration_event(model: ModelVersion) -> dict[str, object]:
    """The event as Prefect's events API takes it.

    Its id follows from the model version, so that telling it twice triggers one run.
    """
    identity = f"{model.name}/{model.version}/{model.digest}"
    return {
        "id": str(uuid.uuid5(NAMESPACE, identity)),
        "occurred": model.registered_at.isoformat(),
        "event": EVENT,
        "resource": {
            "prefect.resource.id": f"weir.model.{model.name}.{model.version}",
            "prefect.resource.name": f"{model.name} {model.version}",
        },
        "payload": {
            "name": model.name,
            "version": model.version,
            "digest": model.digest,
            "tags": dict(model.tags),
        },
    }


def announce(server: ServerAddress, model: ModelVersion) -> None:
    """Emit the event, which registering again repeats. Raises TemporaryError ``event.not_sent``."""
    try:
        answer = requests.post(f"{server.api}/events", json=[registration_event(model)], timeout=30)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise TemporaryError(
            "event.not_sent",
            f"model {model.name} {model.version} is registered, but Prefect did not take the"
            f" event: {error}.",
            remedy="Run the same weir register again; nothing is registered twice.",
            where=server.api,
        ) from error
