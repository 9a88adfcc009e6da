"""Which replicas the gateway may use, and which it still uses. Called by the supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from weir import envoy
from weir.envoy.clusters import Health
from weir.local.admin import Admin, AdminSilentError, AdminUnavailableError
from weir.local.disk import write_atomically
from weir.local.gateway_files import GatewayFiles
from weir.local.home import Home


def publish(home: Path, endpoint: str, version: str, addresses: Sequence[tuple[str, str]]) -> None:
    """Make ``addresses`` the replicas of ``version``: ("127.0.0.1:40001", "HEALTHY"|"DRAINING").

    Writes a file that Envoy follows within milliseconds, or reads when it starts; works before
    the gateway exists. Idempotent. Raises PermanentError ``disk.*``.
    """
    wanted = cast("list[tuple[str, Health]]", sorted(addresses))
    if not wanted and not (_directory(home, endpoint) / f"eds-{version}.yaml").exists():
        return
    path = GatewayFiles(Home(home), endpoint).endpoints_path(version)
    text = envoy.render(envoy.endpoints(version, wanted))
    if not path.exists() or path.read_text() != text:
        write_atomically(path, text)


def active_requests(home: Path, endpoint: str, version: str, address: str) -> int:
    """Requests that the replica at ``address`` works on now.

    At least 1 as long as Envoy has not taken the newest ``publish``, because it may still send
    something new, and while it does not answer in time. 0 without a running gateway, or when the
    replica is unknown to it.
    """
    if not _directory(home, endpoint).is_dir():
        return 0
    files = GatewayFiles(Home(home), endpoint)
    admin, cluster = Admin(files.admin_socket), envoy.replicas_cluster(version)
    statistic = f"cluster.{cluster}.version_text"
    try:
        active = admin.active_requests(cluster)
        seen = admin.stats(f"^cluster\\.{version}\\.replicas\\.version_text$").get(statistic)
    except AdminSilentError:
        return 1
    except AdminUnavailableError:
        return 0
    if address not in active:
        return 0
    text = files.text(f"eds-{version}.yaml")
    follows = text is None or seen == envoy.version_info(text)
    return active[address] if follows else max(1, active[address])


def _directory(home: Path, endpoint: str) -> Path:
    return Home(home).root / "endpoints" / endpoint / "gateway"
