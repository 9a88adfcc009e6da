"""Publishing replicas, without a running gateway."""

from __future__ import annotations

from pathlib import Path

from weir import envoy
from weir.local.endpoints import active_requests, publish


def file(home: Path, version: str = "v1") -> Path:
    return home / "endpoints" / "fraud" / "gateway" / f"eds-{version}.yaml"


def test_replicas_are_published_before_the_gateway_exists(tmp_path: Path) -> None:
    publish(tmp_path, "fraud", "v1", [("127.0.0.1:2", "HEALTHY"), ("127.0.0.1:1", "DRAINING")])
    wanted = envoy.endpoints("v1", [("127.0.0.1:1", "DRAINING"), ("127.0.0.1:2", "HEALTHY")])
    assert envoy.parse(file(tmp_path).read_text()) == wanted


def test_publishing_the_same_again_does_not_write(tmp_path: Path) -> None:
    for _ in range(2):
        publish(tmp_path, "fraud", "v1", [("127.0.0.1:1", "HEALTHY")])
        inode = file(tmp_path).stat().st_ino
        publish(tmp_path, "fraud", "v1", [("127.0.0.1:1", "HEALTHY")])
        assert file(tmp_path).stat().st_ino == inode


def test_the_last_replica_leaves_an_empty_list(tmp_path: Path) -> None:
    publish(tmp_path, "fraud", "v1", [("127.0.0.1:1", "HEALTHY")])
    publish(tmp_path, "fraud", "v1", [])
    assert envoy.parse(file(tmp_path).read_text())[0]["endpoints"] == []


def test_no_replica_of_a_version_never_published_leaves_nothing_behind(tmp_path: Path) -> None:
    publish(tmp_path, "fraud", "v1", [])
    assert not (tmp_path / "endpoints").exists()


def test_without_a_gateway_no_replica_has_requests(tmp_path: Path) -> None:
    assert active_requests(tmp_path, "fraud", "v1", "127.0.0.1:1") == 0
    publish(tmp_path, "fraud", "v1", [("127.0.0.1:1", "HEALTHY")])
    assert active_requests(tmp_path, "fraud", "v1", "127.0.0.1:1") == 0
