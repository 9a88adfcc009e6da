"""Runs of ACR Tasks over REST: what is asked, and what the answers say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from weir.azure.asking import Answer
from weir.azure.container_registry import ContainerRegistry
from weir.azure.patience import retry_after
from weir.azure.refusals import AzureRefused
from weir.azure.said import quoted
from weir.errors import PermanentError

VERSION = "2019-06-01-preview"
"""Of the part of Microsoft.ContainerRegistry that runs tasks, which every cloud has."""

VERSION_BY_CALLER = "2025-03-01-preview"
"""The first in which a run may act in the name of whoever asks for it."""

FORGOTTEN = "Forgotten"
"""No status of Azure's: that of a run that it does not know any more."""

_OVER = ("Succeeded", "Failed", "Canceled", "Error", "Timeout", FORGOTTEN)
_SHORTEST_SECONDS = 300
"""The least that a run may be given."""

_LOOKS = 20
_GONE = 404


@dataclass(frozen=True)
class Source:
    """Where a context goes: ``address`` carries its own permission, ``path`` names it later."""

    address: str = field(repr=False)
    path: str


@dataclass(frozen=True)
class BuildRequest:
    """What a run is to build: an image ``name`` (REPOSITORY:TAG) of the Dockerfile in ``source``.

    ``platform`` is OS/ARCHITECTURE[/VARIANT]; ``agent_pool`` is the registry's own, or empty.
    ``by_caller`` where a run may do what weir's identity may, and nothing by itself.
    """

    name: str
    source: str
    dockerfile: str
    platform: str
    timeout_seconds: int
    agent_pool: str = ""
    by_caller: bool = False

    def body(self) -> dict[str, Any]:
        parts = dict(zip(("os", "architecture", "variant"), self.platform.split("/"), strict=False))
        return {
            "type": "DockerBuildRequest",
            "imageNames": [self.name],
            "isPushEnabled": True,
            "sourceLocation": self.source,
            "dockerFilePath": self.dockerfile,
            "platform": parts,
            "timeout": max(_SHORTEST_SECONDS, self.timeout_seconds),
            # Bases may come from the registry itself.
            "credentials": {
                "sourceRegistry": {"identity": "[caller]"}
                if self.by_caller
                else {"loginMode": "Default"}
            },
            **({"agentPoolName": self.agent_pool} if self.agent_pool else {}),
        }


@dataclass(frozen=True)
class Run:
    """A run as the last answer had it. ``message`` is what Azure says of a failure."""

    run_id: str
    status: str
    message: str = ""
    after_seconds: float = 0.0
    correlation_id: str = ""

    @property
    def is_over(self) -> bool:
        return self.status in _OVER


class AcrTasks:
    """Runs of one registry. Raises AzureRefused, AzureBusy, PermanentError ``azure.unreadable``."""

    def __init__(self, registry: ContainerRegistry) -> None:
        self._registry = registry

    def source(self) -> Source:
        """A fresh place to put a context in."""
        answer = self._ask("POST", "/listBuildSourceUploadUrl", "prepare an upload")
        told = answer.json()
        address, path = told.get("uploadUrl"), told.get("relativePath")
        return Source(self._signed(address, answer), str(path or ""))

    def schedule(self, request: BuildRequest) -> Run:
        """Begin a run. Asked twice, two runs build the same image."""
        answer = self._ask("POST", "/scheduleRun", "build the image", json=request.body())
        place, arm = answer.headers.get("Location", ""), self._registry.asking.cloud
        # An answer of 202 may have no body, and tell where the run will be found.
        for _ in range(_LOOKS):
            run = _run(answer)
            # The token goes to ARM alone, whatever an answer says.
            if run.run_id or not place.startswith(f"{arm.resource_manager}/"):
                break
            self._registry.asking.sleep(retry_after(answer.headers) or 1.0)
            answer = self._ask("GET", place, "read the build")
        if not run.run_id:
            raise self._unreadable(answer)
        return run

    def find(self, run_id: str) -> Run | None:
        """None when the registry knows of no such run, any more or at all."""
        try:
            return _run(self._ask("GET", f"/runs/{run_id}", "read the build"))
        except AzureRefused as refused:
            if refused.status == _GONE:
                return None
            raise

    def log_address(self, run_id: str) -> str:
        """Where the run's log can be read for about an hour; never to be shown."""
        answer = self._ask("POST", f"/runs/{run_id}/listLogSasUrl", "read the build's log")
        return self._signed(answer.json().get("logLink"), answer)

    def _ask(self, method: str, path: str, doing: str, **sent: Any) -> Answer:
        registry = self._registry
        return registry.asking.arm(
            method,
            path if path.startswith("https://") else f"{registry.target}{path}",
            doing,
            version=VERSION_BY_CALLER if registry.has_repository_permissions else VERSION,
            where=registry.where,
            **sent,
        )

    def _signed(self, address: Any, answer: Answer) -> str:
        if not isinstance(address, str) or urlsplit(address).scheme != "https":
            raise self._unreadable(answer)
        return address

    def _unreadable(self, answer: Answer) -> PermanentError:
        return PermanentError(
            "azure.unreadable",
            "the registry's answer lacks what a build goes on with (correlation id"
            f" {answer.correlation_id}).",
            remedy="See whether a proxy stands in the way; then run again.",
            where=self._registry.where,
        )


def _run(answer: Answer) -> Run:
    properties = answer.json().get("properties") or {}
    return Run(
        run_id=str(properties.get("runId") or ""),
        status=str(properties.get("status") or ""),
        message=quoted(str(properties.get("runErrorMessage") or "")),
        after_seconds=retry_after(answer.headers),
        correlation_id=answer.correlation_id,
    )
