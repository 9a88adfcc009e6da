"""`weir cluster` as people type it, on the double of Azure and a real Prefect server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from blocks import AzureIdentity
from tests.azure.double import Directory
from tests.eventually import eventually
from tests.integration.lab import REPOSITORY, Lab, printed_by

CLUSTER = "weir/cli/main.py"


class Azure:
    """The double, in a process of its own, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.block = folder / "block.yaml"
        self.hold = folder / "hold"

    def puts(self, name: str) -> int:
        """How often a cluster was told to be made."""
        lines = (self.folder / "asked").read_text().splitlines()
        return sum(one.startswith("PUT") and one.endswith(f"/{name}") for one in lines)

    def asked(self, method: str, part: str) -> int:
        """How often that was asked by now."""
        lines = (self.folder / "asked").read_text().splitlines()
        return sum(one.startswith(method) and part in one for one in lines)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    folder = tmp_path_factory.mktemp("azure")
    command = [sys.executable, "-m", "tests.azure.serve", str(folder), "theirs", "asleep=Stopped"]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        found = Azure(folder)
        eventually(found.block.exists)
        yield found
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def identity(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without it blocks would be saved in an API that lives as long as one command.
    assert lab.server
    monkeypatch.setenv("AZURE_TENANT_ID", Directory.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", Directory.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", Directory.secret)


def cluster(lab: Lab, *arguments: str | Path, status: int = 0) -> str:
    return printed_by(lab.weir("cluster", *arguments), status, without=CLUSTER)


def create(lab: Lab, azure: Azure, name: str, *more: str, status: int = 0) -> str:
    arguments = ("create", name, "--file", azure.block, "--location", "westeurope", *more)
    return cluster(lab, *arguments, status=status)


def test_a_cluster_is_created_listed_scaled_and_deleted(lab: Lab, azure: Azure) -> None:
    printed = create(lab, azure, "prod")
    assert "about 20 min" in printed
    assert "prod is ready: weir release FILE --platform weir-azure-cluster/prod" in printed
    assert "prod" in cluster(lab, "list")
    assert "fits" in cluster(lab, "list")

    assert create(lab, azure, "prod").endswith("weir-azure-cluster/prod\n")
    differs = create(lab, azure, "prod", "--agent-count", "5", status=2)
    assert "agent_count: is 3, planned 5" in differs
    assert "[cluster.differs]" in differs
    assert azure.puts("prod") == 1

    assert "prod: 4 nodes (was 3 x" in cluster(lab, "scale", "prod", "--agent-count", "4")
    small = cluster(lab, "scale", "prod", "--agent-count", "2", status=2)
    assert "12 are the least" in small
    size = cluster(lab, "scale", "prod", "--agent-count", "4", "--vm-size", "x", status=2)
    assert "[cluster.vm_size]" in size

    assert "deleted prod" in cluster(lab, "delete", "prod", "--yes")
    assert "prod" not in cluster(lab, "list")
    assert "[cluster.unknown]" in cluster(lab, "scale", "prod", "--agent-count", "4", status=2)


def test_whoever_stops_waiting_is_told_what_goes_on_and_comes_back(lab: Lab, azure: Azure) -> None:
    azure.hold.touch()
    looks = azure.asked("GET", "/operations/")
    arguments = ("cluster", "create", "long", "-f", azure.block, "-l", "westeurope")
    try:
        with lab.weir_running(*arguments) as interrupted:
            eventually(lambda: azure.asked("GET", "/operations/") > looks, 60)
            interrupted.send_signal(signal.SIGINT)
            printed, _ = interrupted.communicate(timeout=30)
            assert interrupted.returncode == 130
        assert "Azure goes on to create the cluster" in printed
        assert "az aks operation-abort --name long --resource-group ml" in printed
        assert "weir cluster wait long" in printed
        assert "Creating" in cluster(lab, "list")
        with lab.weir_running(*arguments) as killed:
            assert killed.stdout is not None
            assert any("waiting for Azure to create" in line for line in killed.stdout)
            killed.send_signal(signal.SIGKILL)
    finally:
        azure.hold.unlink()
    assert "long is ready" in create(lab, azure, "long")
    assert azure.puts("long") == 1
    cluster(lab, "delete", "long", "--yes", "--no-wait")
    assert "no such cluster (any more)" in cluster(lab, "wait", "long")
    assert "nothing was deleted" in cluster(lab, "detach", "long")


def test_somebody_elses_cluster_is_attached_and_never_deleted(lab: Lab, azure: Azure) -> None:
    by_name = ("attach", "theirs", "--file", azure.block, "--cluster-name", "theirs")
    assert "theirs is ready" in cluster(lab, *by_name)
    refused = cluster(lab, "delete", "theirs", "--yes", status=2)
    assert "[cluster.not_weirs]" in refused
    assert "weir cluster detach theirs" in refused
    assert "attached" in cluster(lab, "list")
    cluster(lab, "detach", "theirs")
    assert azure.asked("DELETE", "/theirs") == 0
    assert azure.puts("theirs") == 0


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("--cluster-name", "nosuch"), 1, "cluster.missing"),
        (("--cluster-name", "theirs", "--resource-group", "other"), 1, "resource_group_missing"),
        (("--cluster-name", "theirs", "--resource-id", "/subscriptions/x"), 2, "cluster.target"),
        # Without --cluster-name it is called as it is saved.
        ((), 1, "there is no AKS cluster wrong"),
        (("--cluster-name", "theirs", "--identity", "nobody"), 2, "cluster.identity"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_saved(
    lab: Lab, azure: Azure, arguments: tuple[str, ...], status: int, reason: str
) -> None:
    printed = cluster(lab, "attach", "wrong", "--file", azure.block, *arguments, status=status)
    assert reason in printed
    assert "wrong" not in cluster(lab, "list")


def test_a_cluster_that_differs_is_told_and_not_even_started(lab: Lab, azure: Azure) -> None:
    printed = create(lab, azure, "asleep", "--vm-size", "Standard_NC6s_v3", status=2)
    assert "[cluster.differs]" in printed
    assert azure.asked("POST", "/asleep/start") == 0
    assert "asleep" not in cluster(lab, "list")


def test_neither_way_to_name_a_cluster_is_told(lab: Lab, azure: Azure) -> None:
    printed = cluster(lab, "attach", "wrong", "--subscription", "s", status=2)
    assert "[cluster.target]" in printed
    assert "it lacks resource_group, or resource_id" in printed


def test_a_refused_identity_is_told_without_its_secret(
    lab: Lab, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "planted~expired~secret")
    printed = create(lab, azure, "prod", status=1)
    assert "[azure.secret_expired]" in printed
    assert "az ad app credential reset" in printed
    assert "planted" not in printed


def test_secrets_of_saved_blocks_reach_no_output_and_no_log(
    lab: Lab, azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    block = AzureIdentity(
        sign_in="secret",
        tenant_id=Directory.tenant,
        client_id=Directory.client_id,
        client_secret=Directory.secret,
    )
    settings = {PREFECT_API_URL: lab.server.api, PREFECT_HOME: lab.work / "prefect"}
    with temporary_settings(settings):
        block.save("deployer", overwrite=True)
    printed = create(lab, azure, "kept", "--identity", "deployer")
    printed += cluster(lab, "list")
    printed += cluster(lab, "delete", "kept", "--yes")
    assert "planted" not in printed + repr(block)
    planted = Directory.secret.encode()
    logs = [path for path in lab.home.rglob("*.log") if path.is_file()]
    assert logs
    assert [path for path in logs if planted in path.read_bytes()] == []
