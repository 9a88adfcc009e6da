from __future__ import annotations

from pathlib import Path

from weir.local.home import Home
from weir.local.workloads import LocalWorkloads


def test_the_gateways_log_is_found_by_its_name(tmp_path: Path) -> None:
    Home(tmp_path).log("fraud.gateway").write_text("one\ntwo\n")
    Home(tmp_path).log("fraud.v1.0").write_text("listens\n")
    workloads = LocalWorkloads(tmp_path)
    assert workloads.logs("fraud", "gateway", 1) == {"fraud.gateway": ("two",)}
    assert workloads.logs("fraud", "v1", 5) == {"fraud.v1.0": ("listens",)}
    assert workloads.logs("churn", "gateway", 5) == {}
