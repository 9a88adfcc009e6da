"""Whole releases to an AKS cluster, as a person types them, from making the cluster to promotion.

Azure is the double: it makes the cluster, builds images and holds the evidence. The control plane
that its cluster leads to is real; callers and pods are played.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks import AzureCluster
from tests.azure import acr
from tests.azure.acr import Acr
from tests.azure.aks import KUBELET_ID, REGION, Aks
from tests.azure.double import Double
from tests.azure.fields import block_fields
from tests.azure.log_analytics import WORKSPACE, LogAnalytics
from tests.eventually import eventually
from tests.integration.lab import Lab, printed_by
from tests.kubernetes.at_hand import Place
from tests.kubernetes.callers import Callers
from tests.kubernetes.site import Site, site
from weir.azure.roles import ACR_PULL_ID
from weir.document import Outcome
from weir.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, ROUTE, Object

pytestmark = pytest.mark.kubernetes

KEPT = (CONFIG_MAP, DEPLOYMENT, ROUTE)
"""Kinds that hold what weir writes down in a cluster: the state document is a ConfigMap."""

CLUSTER = "managedClusters/prod$"
SCHEDULE = "/scheduleRun$"
QUERY = f"/workspaces/{WORKSPACE}/query$"


class Rows:
    """A Journal in Log Analytics: every request is a row, which arrives later and out of order.

    The guards of the pods have no log at all.
    """

    def __init__(self, workspace: LogAnalytics) -> None:
        self._workspace = workspace
        self._chance = random.Random(2)

    def ensure(self, pod: Object) -> None:
        pass

    def write(self, pod: Object, version: str, failed: bool) -> None:
        self._workspace.add(
            version,
            datetime.now(UTC),
            late_seconds=self._chance.uniform(1, 2),
            duration_ms=4,
            code="500" if failed else "200",
        )


class Subscription:
    """A subscription of the double with a registry and a workspace, and no cluster yet."""

    def __init__(self, azure: Double, folder: Path, translations: Path) -> None:
        self.azure, self._folder = azure, folder
        self.aks = Aks(azure.ca_bundle, retry_after="1")
        self.acr = Acr(azure.directory, retry_after="1")
        self.workspace = LogAnalytics(translations)
        for service in (self.aks, self.acr, self.workspace):
            azure.serve(service)

    @contextmanager
    def site(self, lab: Lab, **failing: float) -> Iterator[Site]:
        """A block that says how to make the cluster, saved; callers fail as ``failing`` says."""
        callers = Callers("fraud", rate=200, failing=failing, journal=Rows(self.workspace))
        with site(lab, self._folder, callers, AzureCluster, self._fields) as there:
            yield there

    def _fields(self, place: Place) -> dict[str, Any]:
        # AKS hands out the kubeconfig of a real API server.
        self.aks.kubeconfigs["user"] = place.access.kubeconfig_text
        return block_fields(
            self.azure,
            cluster_name="prod",
            create={"location": REGION},
            registry=acr.ID,
            workspace_id=WORKSPACE,
            log_lag_seconds=0.5,
        )

    def release_file(self, there: Site, version: str, weights: str = "") -> Path:
        """A release of files on this machine, without an image; ``weights`` are its content."""
        source, model = self._folder / "source", self._folder / f"{weights or version}.bin"
        source.mkdir(exist_ok=True)
        (source / "serve.py").write_text("print('serving')")
        model.write_text(weights or version)
        path = there.release_file(version, lag_seconds=None)
        content = json.loads(path.read_text())
        content["model"]["path"] = str(model)
        content["inference"] = {
            "command": ["python", "serve.py"],
            "source_directory": str(source),
        }
        path.write_text(json.dumps(content))
        return path

    def asked(self, method: str, pattern: str) -> int:
        return len(self.azure.asked(method, pattern))


@pytest.fixture(scope="module")
def translations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kql")


@pytest.fixture
def subscription(tmp_path: Path, translations: Path) -> Iterator[Subscription]:
    with Double(tmp_path) as azure:
        yield Subscription(azure, tmp_path, translations)


def test_the_first_release_makes_the_cluster_and_has_the_registry_build_its_image(
    lab: Lab, subscription: Subscription
) -> None:
    with subscription.site(lab) as there:
        printed = printed_by(there.weir("release", subscription.release_file(there, "v1")), 0)
        assert [image_of(there, "v1")] == built(subscription)
        kept = [thing for kind in KEPT for thing in there.place.admin.list(kind)[0]]
    assert "checked: 2 of 2 samples" in printed
    assert kept
    assert "planted" not in printed + json.dumps(kept)
    # Prefect's database among them, with artifacts, states and blocks.
    written = [path for path in lab.home.rglob("*") if path.is_file()]
    assert [path for path in written if path.suffix == ".db"]
    assert [path for path in written if b"planted" in path.read_bytes()] == []
    (files,) = subscription.acr.contexts
    assert files["source/serve.py"] == b"print('serving')"
    assert files["model/v1.bin"] == b"v1"
    (grant,) = subscription.aks.grants
    assert grant["scope"] == acr.ID
    assert grant["properties"]["principalId"] == KUBELET_ID
    assert grant["properties"]["roleDefinitionId"].endswith(ACR_PULL_ID)
    assert subscription.asked("PUT", CLUSTER) == 1
    assert subscription.asked("POST", SCHEDULE) == 1
    # Without another version there is nothing to compare.
    assert subscription.asked("POST", QUERY) == 0


def test_rows_of_log_analytics_promote_a_good_version_and_roll_a_bad_one_back(
    lab: Lab, subscription: Subscription
) -> None:
    with subscription.site(lab, v3=0.3) as there:
        printed_by(there.weir("release", subscription.release_file(there, "v1")), 0)

        second = subscription.release_file(there, "v2")
        printed_by(there.weir("release", second), 0)
        assert there.split() == "v2 100 %"
        asked = subscription.asked("POST", QUERY)
        assert asked > 0

        printed = printed_by(there.weir("release", subscription.release_file(there, "v3")), 1)
        assert "v3 fails" in printed
        assert there.split() == "v2 100 %"
        assert subscription.asked("POST", QUERY) > asked
        assert outcomes(there) == [Outcome.PROMOTED, Outcome.PROMOTED, Outcome.ROLLED_BACK]
        assert there.objects(DEPLOYMENT) == ["fraud--v1", "fraud--v2"]

        assert subscription.asked("POST", SCHEDULE) == 3
        printed_by(there.weir("release", second), 0)
        printed_by(there.weir("release", subscription.release_file(there, "v4", "v2")), 0)
        assert there.split() == "v4 100 %"
        assert image_of(there, "v4") == image_of(there, "v2")
    assert subscription.asked("POST", SCHEDULE) == 3
    assert subscription.asked("PUT", CLUSTER) == 1


def test_nothing_is_decided_while_log_analytics_may_not_be_read(
    lab: Lab, subscription: Subscription
) -> None:
    with subscription.site(lab) as there:
        printed_by(there.weir("release", subscription.release_file(there, "v1")), 0)
        subscription.workspace.may_read = False
        with there.running("release", subscription.release_file(there, "v2")) as run:
            await_in(run, lambda: subscription.asked("POST", QUERY) >= 4)
            assert there.split() == "v1 50 %, v2 50 %"
            assert "azure.role_missing" in printed_by(there.weir("status", "fraud"), 0)
            subscription.workspace.may_read = True
            printed, _ = run.communicate(timeout=90)
        assert run.returncode == 0, printed
        assert there.split() == "v2 100 %"


@pytest.mark.parametrize(
    ("service", "looks"),
    [
        pytest.param("acr", "/runs/ca1$", id="the registry builds"),
        pytest.param("aks", "/operations/", id="Azure makes the cluster"),
    ],
)
def test_a_release_killed_while_it_waits_goes_on_with_what_was_begun(
    lab: Lab, subscription: Subscription, service: str, looks: str
) -> None:
    held: Acr | Aks = getattr(subscription, service)
    with subscription.site(lab) as there:
        file = subscription.release_file(there, "v1")
        held.hold()
        killed_once(there, file, lambda: subscription.asked("GET", looks) >= 2)
        held.let_go()
        printed_by(there.weir("release", file), 0)
        assert [image_of(there, "v1")] == built(subscription)
        assert outcomes(there) == [Outcome.PROMOTED]
    assert subscription.asked("POST", SCHEDULE) == 1
    assert subscription.asked("PUT", CLUSTER) == 1


def killed_once(there: Site, file: Path, moment: Callable[[], bool]) -> None:
    """``weir release`` of ``file``, ended by SIGKILL at ``moment``."""
    with there.running("release", file) as run:
        await_in(run, moment)
        run.kill()


def await_in(run: Any, moment: Callable[[], bool]) -> None:
    """Wait for ``moment``, which has to come while the command runs."""
    eventually(lambda: moment() or run.poll() is not None, 90)
    if run.poll() is not None:
        pytest.fail(f"the run ended before: {run.stdout.read()}")


def outcomes(there: Site) -> list[Outcome]:
    return [past.outcome for past in there.document().history]


def image_of(there: Site, version: str) -> str:
    """What the Deployment of a version has its nodes pull for the model server."""
    found = there.place.admin.get(DEPLOYMENT, f"fraud--{version}")
    assert found is not None
    containers = found["spec"]["template"]["spec"]["containers"]
    (image,) = [one["image"] for one in containers if one["name"] != "guard"]
    return str(image)


def built(subscription: Subscription) -> list[str]:
    """The images that the registry has, by their whole names."""
    host = subscription.azure.base.removeprefix("https://")
    return [f"{host}/{name}" for name in subscription.acr.images]
