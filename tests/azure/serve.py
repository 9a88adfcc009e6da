"""The double as a process of its own: ``python -m tests.azure.serve FOLDER NAME...``.

It serves until it is killed. Clusters NAME are there already, made by somebody else; NAME=Stopped
is one that does not run.

FOLDER/block.yaml has the fields of a block AzureCluster that lead to it, ``double-ca.pem`` its
certificate. What it is to do on purpose, ``FOLDER/hold`` says: while that file is there, no
operation and no build ends. With ``FOLDER/kubeconfig`` its clusters are the one that this leads to.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.azure.acr import Acr
from tests.azure.aks import Aks
from tests.azure.double import Double
from tests.azure.fields import addresses
from tests.azure.inside import Inside


def main(folder: Path, others: Sequence[str]) -> None:
    hold = folder / "hold"
    with Double(folder) as double:
        aks = Aks(double.ca_bundle, retry_after="1")
        for name in others:
            named, _, power = name.partition("=")
            aks.there_is(named, powerState={"code": power or "Running"})
        kubeconfig = folder / "kubeconfig"
        if kubeconfig.exists():
            aks.kubeconfigs["user"] = kubeconfig.read_text()
        double.serve(aks)
        acr = Acr(double.directory)
        double.serve(acr)
        double.serve(Inside(double.directory))
        _write(folder, double)
        while True:
            for service in (aks, acr):
                if hold.exists():
                    service.hold()
                else:
                    service.let_go()
            (folder / "asked").write_text(
                "".join(f"{one.method} {one.path}\n" for one in double.requests)
            )
            time.sleep(0.05)


def _write(folder: Path, double: Double) -> None:
    temporary = folder / "block.yaml.tmp"
    temporary.write_text(yaml.safe_dump(addresses(double)))
    temporary.rename(folder / "block.yaml")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
