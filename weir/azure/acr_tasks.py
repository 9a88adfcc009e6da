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
"""Of the part of Microsoft.ContainerRegistry that runs tasks: it has no other."""

_OVER = ("Succeeded", "Failed", "Canceled", "Error", "Timeout")
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
    """

    name: str
    source: str
    dockerfile: str
    platform: str
    timeout_seconds: int
    agent_pool: str = ""

    def body(self) -> dict[str, Any]:
        parts = dict(zip(("os", "architecture", "variant"), self.platform.split("/"), strict=False))
        return {
            "type": "DockerBuildRequest",
            "imageNames": [self.name],
            "isPushEnabled": True,
            "sourceLocation": self.source,
            "dockerFilePath": self.dockerfile,
            "platform": parts,
            "timeout": self.timeout_seconds,
            # Bases may come from the registry itself.
            "credentials": {"sourceRegistry": {"loginMode": "Default"}},
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
        run = _run(answer)
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
            f"{registry.target}{path}",
            doing,
            version=VERSION,
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
