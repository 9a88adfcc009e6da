"""What is built, and from which Go module: modules/NAME/go.mod pins the versions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODULES_FOLDER = Path(__file__).parent / "modules"
REQUIRED = re.compile(r"^(?:require)?\s*(\S+) (v\S+)(?: //.*)?$", re.MULTILINE)
GO_LINE = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """A folder under modules/ and what is taken out of the Go module it pins."""

    name: str
    path: str
    """The Go module whose version counts."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """Go packages by the name of the binary built of them."""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Glob patterns inside the module's source by the folder their matches are copied to."""
    version_packages: tuple[str, ...] = ()
    """Packages with Kubernetes' version variables, to be set by the linker."""

    @property
    def folder(self) -> Path:
        return MODULES_FOLDER / self.name

    @property
    def version(self) -> str:
        """The version of ``path`` that go.mod requires."""
        required = dict(REQUIRED.findall(self._go_mod()))
        return str(required[self.path])

    @property
    def go(self) -> tuple[int, int]:
        """The oldest Go that builds it."""
        found = GO_LINE.search(self._go_mod())
        assert found, f"{self.folder}/go.mod has no go line"
        return int(found[1]), int(found[2])

    @property
    def key(self) -> str:
        """Changes whenever something else would be built."""
        digest = hashlib.sha256()
        for part in (self._go_mod(), repr(self.commands), repr(self.files), self.linker_flags):
            digest.update(part.encode())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"

    @property
    def linker_flags(self) -> str:
        """Without symbols; a Kubernetes server reports its version only when the linker sets it."""
        flags = ["-s", "-w"]
        if self.version_packages:
            major, minor, _ = self.version.removeprefix("v").split(".", 2)
            values = {
                "gitVersion": self.version,
                "gitMajor": major,
                "gitMinor": minor,
                "gitTreeState": "clean",
            }
            for package in self.version_packages:
                flags += [f"-X {package}.{name}={value}" for name, value in values.items()]
        return " ".join(flags)

    def _go_mod(self) -> str:
        return (self.folder / "go.mod").read_text()


ETCD = Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"})

KUBERNETES = Module(
    "kubernetes",
    "k8s.io/kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    },
    version_packages=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
)

KWOK = Module(
    "kwok",
    "sigs.k8s.io/kwok",
    {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    {
        "crds": ("kustomize/crd/bases/kwok.x-k8s.io_logs.yaml",),
        "stages": (
            "kustomize/stage/node/fast/node-initialize.yaml",
            "kustomize/stage/node/heartbeat/node-heartbeat.yaml",
            "kustomize/stage/pod/fast/pod-complete.yaml",
            "kustomize/stage/pod/fast/pod-delete.yaml",
        ),
    },
)

GATEWAY_API = Module(
    "gateway-api",
    "sigs.k8s.io/gateway-api",
    files={"crds": ("config/crd/standard/*.yaml",)},
)

ISTIO = Module(
    "istio",
    "istio.io/istio",
    {"pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery"},
    {
        "crds": ("manifests/charts/base/files/crd-all.gen.yaml",),
        "chart": (
            "manifests/charts/istio-control/istio-discovery/values.yaml",
            "manifests/charts/istio-control/istio-discovery/files/kube-gateway.yaml",
        ),
    },
)

ALL = (ETCD, KUBERNETES, KWOK, GATEWAY_API, ISTIO)
