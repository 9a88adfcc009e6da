"""The double's container registry: ACR Tasks that advance by one with every look, blobs, images.

A run takes its context apart and keeps it: ``contexts`` has the files that a Dockerfile could copy.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from tests.azure.aks import GROUP, SUBSCRIPTION
from tests.azure.double import Directory, Refuse, Reply, Request, route

NAME = "models"
ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
    f"/Microsoft.ContainerRegistry/registries/{NAME}"
)
AUDIENCE = "https://containerregistry.azure.net"
SIGNATURE = "planted%2Fsignature%3D"

_REGISTRY = (
    r"/subscriptions/[^/]+/resourceGroups/([^/]+)/providers/Microsoft\.ContainerRegistry"
    r"/registries/([^/]+)"
)
_DEFAULT = {"loginMode": "Default"}
_STATES = ("Queued", "Started", "Running", "Succeeded")
_VERSIONS = {False: "2019-06-01-preview", True: "2025-03-01-preview"}


@dataclass
class _Run:
    request: dict[str, Any]
    state: int = 0
    end: str = "Succeeded"
    """What it comes to."""
    log: bytes = b""
    unwritten: bytes = b""
    """Of the log, when the run has ended."""
    looks: int = 0
    """At the log, until that is written as well."""

    @property
    def status(self) -> str:
        return self.end if self.state >= len(_STATES) - 1 else _STATES[self.state]

    @property
    def is_over(self) -> bool:
        return self.state >= len(_STATES) - 1


@dataclass
class Acr:
    """One registry. Tests change the fields."""

    directory: Directory
    lines: tuple[str, ...] = ("Step 1/2 : FROM base", "Successfully built é")
    """What a run prints."""
    end: str = "Succeeded"
    """What the next runs come to."""
    retry_after: str = ""
    """What the answer to a look at a run asks for; nothing when empty."""
    may_pull: bool = True
    pushes: bool = True
    """Whether an image is there when its run has ended well."""
    by_repository: bool = False
    """Roles are given by repository, and a run may do what its caller may."""
    replica_looks: int = 0
    """So many looks at an image do not find it yet."""
    forgets: int = 0
    """So many looks at a run do not find it."""
    tells_by_location: bool = False
    """The answer to scheduleRun has no body."""
    log_is_late: int = 0
    """So many looks at a log find it without its last line, and not complete."""
    links_hold: int = 1_000_000
    """So many requests of a log until its link has run out."""

    def __post_init__(self) -> None:
        self.images: dict[str, str] = {}
        """Digest by REPOSITORY:TAG."""
        self.runs: dict[str, _Run] = {}
        self.contexts: list[dict[str, bytes]] = []
        self.before_the_end: Callable[[], object] = lambda: None
        self._blocks: dict[str, dict[str, bytes]] = {}
        self._sources: dict[str, bytes] = {}
        self._links: dict[str, int] = {}
        self._lock = threading.RLock()
        self._may_end = threading.Event()
        self._may_end.set()

    def hold(self) -> None:
        """No run ends until ``let_go``."""
        self._may_end.clear()

    def let_go(self) -> None:
        self._may_end.set()

    @route("GET", _REGISTRY)
    def registry(self, request: Request, group: str, name: str) -> Reply:
        self._require(name)
        server = request.base.removeprefix("https://")
        mode = "AbacRepositoryPermissions" if self.by_repository else "LegacyRegistryPermissions"
        properties = {"loginServer": server, "roleAssignmentMode": mode}
        return Reply(json={"id": ID, "location": "westeurope", "properties": properties})

    @route("POST", _REGISTRY + "/listBuildSourceUploadUrl")
    def source(self, request: Request, group: str, name: str) -> Reply:
        self._require(name, request)
        path = f"source/202611260000/{len(self._blocks)}.tar.gz"
        self._blocks[path] = {}
        address = f"{request.base}/blobs/{path}?sv=2024-11-04&sp=rcw&sig={SIGNATURE}"
        return Reply(json={"relativePath": path, "uploadUrl": address})

    @route("PUT", r"/blobs/(source/.+)", audience="")
    def put(self, request: Request, path: str) -> Reply:
        self._require_signed(request)
        if request.query.get("comp") == "block":
            self._blocks[path][request.query["blockid"]] = request.body
        else:
            assert request.query["comp"] == "blocklist"
            wanted = [one.text or "" for one in ElementTree.fromstring(request.body)]
            assert all(len(base64.b64decode(one)) == 8 for one in wanted)
            self._sources[path] = b"".join(self._blocks[path][one] for one in wanted)
        return Reply(201)

    @route("POST", _REGISTRY + "/scheduleRun")
    def schedule(self, request: Request, group: str, name: str) -> Reply:
        self._require(name, request)
        wanted = request.json()
        if wanted["type"] != "DockerBuildRequest" or wanted["sourceLocation"] not in self._sources:
            raise Refuse(400, "InvalidParameter", "There is no such source.")
        source = wanted["credentials"]["sourceRegistry"]
        assert source == ({"identity": "[caller]"} if self.by_repository else _DEFAULT)
        assert 300 <= wanted["timeout"] <= 28800
        with self._lock:
            run_id = f"ca{len(self.runs) + 1}"
            self.runs[run_id] = _Run(wanted, end=self.end)
        if self.tells_by_location:
            place = f"{request.base}{ID}/operationResults/{run_id}?api-version={_VERSIONS[False]}"
            return Reply(202, headers={"Location": place, "Retry-After": "2"})
        return Reply(202, self._body(run_id), {"Retry-After": "2"})

    @route("GET", _REGISTRY + r"/operationResults/([^/]+)")
    def result(self, request: Request, group: str, name: str, run_id: str) -> Reply:
        self._require(name, request)
        return Reply(json=self._body(run_id))

    @route("GET", _REGISTRY + r"/runs/([^/]+)")
    def run(self, request: Request, group: str, name: str, run_id: str) -> Reply:
        self._require(name, request)
        with self._lock:
            self.forgets -= 1
            if run_id not in self.runs or self.forgets >= 0:
                raise Refuse(404, "ResourceNotFound", f"The run {run_id} was not found.")
            self._advance(self.runs[run_id])
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return Reply(json=self._body(run_id), headers=headers)

    @route("POST", _REGISTRY + r"/runs/([^/]+)/listLogSasUrl")
    def log_link(self, request: Request, group: str, name: str, run_id: str) -> Reply:
        self._require(name, request)
        link = f"{run_id}/{len(self._links)}"
        self._links[link] = self.links_hold
        return Reply(json={"logLink": f"{request.base}/blobs/logs/{link}?sig={SIGNATURE}"})

    @route("HEAD", r"/blobs/logs/([^/]+)/(\d+)", audience="")
    def log_state(self, request: Request, run_id: str, number: str) -> Reply:
        self._require_signed(request)
        run = self.runs[run_id]
        if not run.is_over or run.looks > 0:
            run.looks -= run.is_over
            return Reply()
        run.log, run.unwritten = run.log + run.unwritten, b""
        return Reply(headers={"x-ms-meta-Complete": run.end.lower()})

    @route("GET", r"/blobs/logs/([^/]+)/(\d+)", audience="")
    def log(self, request: Request, run_id: str, number: str) -> Reply:
        self._require_signed(request)
        link = f"{run_id}/{number}"
        self._links[link] -= 1
        if self._links[link] < 0:
            raise Refuse(403, "AuthenticationFailed", "Signature not valid in the time frame.")
        log = self.runs[run_id].log
        if not log:
            raise Refuse(404, "BlobNotFound", "The specified blob does not exist.")
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        if first >= len(log):
            raise Refuse(416, "InvalidRange", "The range specified is invalid.")
        return Reply(206, body=log[first : last + 1])

    @route("POST", "/oauth2/exchange", audience="")
    def exchange(self, request: Request) -> Reply:
        form = request.form()
        assert (form["grant_type"], form["service"]) == ("access_token", request.base[8:])
        if self.directory.issued.get(form["access_token"]) != AUDIENCE:
            return Reply(401, {"errors": [{"code": "UNAUTHORIZED", "message": "unauthorized"}]})
        return Reply(json={"refresh_token": "planted-refresh"})

    @route("POST", "/oauth2/token", audience="")
    def token(self, request: Request) -> Reply:
        form = request.form()
        if form["refresh_token"] != "planted-refresh" or not self.may_pull:
            return Reply(401, {"errors": [{"code": "UNAUTHORIZED", "message": "unauthorized"}]})
        return Reply(json={"access_token": f"planted-pull {form['scope']}"})

    @route("HEAD", r"/v2/(.+)/manifests/([^/]+)", audience="")
    def manifest(self, request: Request, repository: str, tag: str) -> Reply:
        scope = f"repository:{repository}:pull"
        if request.bearer != f"planted-pull {scope}":
            host = request.base
            asked = f'Bearer realm="{host}/oauth2/token",service="{host[8:]}",scope="{scope}"'
            return Reply(401, headers={"WWW-Authenticate": asked})
        digest = self.images.get(f"{repository}:{tag}")
        if digest is not None and self.replica_looks > 0:
            self.replica_looks -= 1
            return Reply(404)
        return Reply(404) if digest is None else Reply(headers={"Docker-Content-Digest": digest})

    def _require(self, name: str, request: Request | None = None) -> None:
        if name != NAME:
            raise Refuse(404, "ResourceNotFound", f"The Resource '{name}' was not found.")
        if request is not None and request.query["api-version"] != _VERSIONS[self.by_repository]:
            raise Refuse(400, "NoRegisteredProviderFound", "No such API version.")

    def _require_signed(self, request: Request) -> None:
        assert "authorization" not in request.headers
        if request.query.get("sig") != "planted/signature=":
            raise Refuse(403, "AuthenticationFailed", "Signature did not match.")

    def _body(self, run_id: str) -> dict[str, Any]:
        run = self.runs[run_id]
        properties = {"runId": run_id, "status": run.status, "runType": "QuickBuild"}
        if run.is_over and run.end == "Failed":
            properties["runErrorMessage"] = "failed during run, err: exit status 1"
        return {"id": f"{ID}/runs/{run_id}", "name": run_id, "properties": properties}

    def _advance(self, run: _Run) -> None:
        if run.is_over or (run.state == len(_STATES) - 2 and not self._may_end.is_set()):
            return
        run.state += 1
        if run.status == "Running":
            *first, last = self.lines
            run.log = "".join(f"{line}\r\n" for line in first).encode()
            run.unwritten, run.looks = last.encode(), self.log_is_late
            if not self.log_is_late:
                run.log, run.unwritten = run.log + run.unwritten, b""
        if run.is_over:
            self.before_the_end()
            if run.end == "Succeeded" and self.pushes:
                self._build(run)

    def _build(self, run: _Run) -> None:
        archive = self._sources[run.request["sourceLocation"]]
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as packed:
            opened = ((one.name, packed.extractfile(one)) for one in packed.getmembers())
            files = {name: stream.read() for name, stream in opened if stream is not None}
        assert run.request["dockerFilePath"] in files
        self.contexts.append(files)
        for name in run.request["imageNames"]:
            self.images[name] = f"sha256:{hashlib.sha256(archive).hexdigest()}"
