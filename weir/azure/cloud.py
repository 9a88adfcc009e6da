"""Where Azure is: the addresses of one of its clouds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from weir.errors import UserError


@dataclass(frozen=True)
class Cloud:
    """Base addresses, without a slash at their ends.

    ``authority`` gives tokens, ``resource_manager`` is ARM, ``log_analytics`` answers queries.
    ``is_known`` where the authority is one that the identity library knows by itself.
    ``ca_bundle`` is a file of certificates to trust instead of the usual ones, for networks whose
    proxy opens TLS; empty for the usual ones.
    """

    name: str
    authority: str
    resource_manager: str
    log_analytics: str
    is_known: bool = True
    ca_bundle: str = ""

    @property
    def verify(self) -> str | bool:
        """What requests calls ``verify``."""
        return self.ca_bundle or True

    @property
    def management_scope(self) -> str:
        return scope(self.resource_manager)

    @property
    def log_analytics_scope(self) -> str:
        return scope(self.log_analytics)


def scope(audience: str) -> str:
    """What a token for ``audience`` is asked for with."""
    return f"{audience}/.default"


PUBLIC = Cloud(
    "public",
    "https://login.microsoftonline.com",
    "https://management.azure.com",
    "https://api.loganalytics.azure.com",
)

CLOUDS: Mapping[str, Cloud] = {
    cloud.name: cloud
    for cloud in (
        PUBLIC,
        Cloud(
            "us-government",
            "https://login.microsoftonline.us",
            "https://management.usgovcloudapi.net",
            "https://api.loganalytics.us",
        ),
        Cloud(
            "china",
            "https://login.chinacloudapi.cn",
            "https://management.chinacloudapi.cn",
            "https://api.loganalytics.azure.cn",
        ),
    )
}


def cloud_of(name: str, addresses: Mapping[str, str], ca_bundle: str = "") -> Cloud:
    """The cloud ``name``, with ``addresses`` (fields of Cloud) in place of its own.

    An address that is empty stays the cloud's. Raises UserError ``azure.cloud``.
    """
    chosen = CLOUDS.get(name)
    if chosen is None:
        raise UserError(
            "azure.cloud",
            f"there is no Azure cloud {name!r}; there are {', '.join(CLOUDS)}.",
            remedy="Correct cloud in the platform block.",
            where="cloud",
        )
    given = {field: address.rstrip("/") for field, address in addresses.items() if address}
    for field, address in given.items():
        parts = urlsplit(address)
        if parts.scheme != "https" or not parts.netloc:
            raise UserError(
                "azure.cloud",
                f"{field} {address!r} is no https address.",
                remedy="Give it as https://HOST, or leave it empty.",
                where=field,
            )
    if ca_bundle and not Path(ca_bundle).expanduser().is_file():
        raise UserError(
            "azure.cloud",
            f"there is no file of certificates {ca_bundle}.",
            remedy="Correct ca_bundle in the platform block, or leave it empty.",
            where="ca_bundle",
        )
    is_known = "authority" not in given
    trusted = str(Path(ca_bundle).expanduser()) if ca_bundle else ""
    return replace(chosen, **given, is_known=is_known, ca_bundle=trusted)
