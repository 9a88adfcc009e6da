"""The command `weir` on a cluster: a saved block, callers, and a Prefect server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from blocks import KubernetesCluster
from blocks.cluster import ClusterBlock
from tests.integration.lab import REPOSITORY, WEIR, Finished, Lab
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from tests.kubernetes.callers import Callers, scoring_server
from weir.document import EndpointDocument
from weir.kubernetes.kinds import ROUTE, Kind, name_of
from weir.kubernetes.names import VERSION, of_route
from weir.kubernetes.route_manifests import split_of
from weir.kubernetes.state import KubernetesState

EXAMPLES = REPOSITORY / "examples" / "kubernetes"
QUICK: Mapping[str, Any] = {
    "steps": [50, 100],
    "window_seconds": 1,
    "lag_seconds": 1.2,
    "minimum_requests": 50,
    "guardrails": [{"metric": "failures", "slack": 0.05}],
}

_SAVE = """
import json, sys
import blocks
getattr(blocks, sys.argv[1])(**json.load(sys.stdin)).save(sys.argv[2], overwrite=True)
"""


class Site:
    """``place`` as a saved platform; ``weir`` runs there."""

    def __init__(self, lab: Lab, place: Place, kind: str, name: str) -> None:
        """``kind`` is the slug of the block's type."""
        self._lab, self.place = lab, place
        self.platform = f"{kind}/{name}"
        self.state = KubernetesState(place.api())
        self._files = lab.work / name
        self._files.mkdir()

    def weir(self, *arguments: str | Path, timeout_seconds: float = 180) -> Finished:
        """Run the command to its end, on the cluster."""
        return self._lab.weir(
            *arguments, "--platform", self.platform, timeout_seconds=timeout_seconds
        )

    def running(self, *arguments: str | Path) -> Any:
        return self._lab.running(WEIR, *arguments, "--platform", self.platform, cwd=REPOSITORY)

    def objects(self, kind: Kind, labels: Mapping[str, str] | None = None) -> list[str]:
        """Names of what the versions have, or of whatever has ``labels``."""
        found, _ = self.place.admin.list(kind, labels)
        return sorted(
            name_of(one)
            for one in found
            if labels or VERSION in (one["metadata"].get("labels") or {})
        )

    def release_file(self, version: str, image: str = "", **rollout: Any) -> Path:
        """The example's release as ``version``; ``rollout`` changes a quick policy."""
        content = yaml.safe_load((EXAMPLES / "release-v1.yaml").read_text())
        content["version_name"] = version
        content["inference"]["image"] = image or f"registry.example/fraud:{version}"
        content["deployment"]["scoring_timeout_ms"] = 1000
        content["check"]["samples"] = str(EXAMPLES / "samples.ndjson")
        content["rollout"] = {**QUICK, **rollout}
        path = self._files / f"{version}.yaml"
        path.write_text(json.dumps(content))
        return path

    def document(self) -> EndpointDocument:
        found = self.state.read("fraud")
        assert found is not None
        return found

    def split(self) -> str:
        """The split that the HTTPRoute asks for, read as an administrator."""
        found = self.place.admin.get(ROUTE, of_route("fraud"))
        return "" if found is None else str(split_of("fraud", found))


def by_kubeconfig(place: Place) -> dict[str, Any]:
    """How a block KubernetesCluster finds its cluster."""
    return {"kubeconfig_text": place.access.kubeconfig_text}


@contextmanager
def site(
    lab: Lab,
    folder: Path,
    callers: Callers | None = None,
    block: type[ClusterBlock] = KubernetesCluster,
    reached: Callable[[Place], dict[str, Any]] = by_kubeconfig,
    **settings: Any,
) -> Iterator[Site]:
    """A namespace of its own as a platform, with ``callers`` calling until the block ends.

    ``reached`` gives the fields of ``block`` that say which cluster it is.
    """
    at_hand.require_played_nodes()
    with scoring_server() as port:
        chosen = {
            "gateway_port": port,
            "gateway_annotations": {"weir.test/address": "127.0.0.1"},
            **settings,
        }
        with at_hand.place(**chosen) as place:
            name = place.namespace
            fields = {**reached(place), "namespace": place.namespace, **chosen}
            environment = lab.environment(PREFECT_API_URL=lab.server.api)
            subprocess.run(
                [sys.executable, "-c", _SAVE, block.__name__, name],
                input=json.dumps(fields),
                env=environment,
                cwd=REPOSITORY,
                text=True,
                check=True,
            )
            made = Site(lab, place, str(block._block_type_slug), name)
            if callers is None:
                yield made
                return
            with callers.calling(place, folder):
                yield made
