"""A certificate of the platform's own, in the Secret that Gateways read."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from weir.kubernetes import names
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import SECRET
from weir.ports import Clusters, ClusterStatus, Say, unsaid

LABELS = {"app.kubernetes.io/managed-by": names.MANAGER}


@dataclass(frozen=True)
class Certificate:
    """PEM texts for the Secret ``secret``. ``repr`` shows no key."""

    secret: str
    certificate: str
    key: str = field(repr=False)


class CertifiedClusters:
    """Implements ``Clusters``: what ``inside`` sees to, and after it the certificate."""

    def __init__(self, inside: Clusters, api: Api, certificate: Certificate) -> None:
        self._inside, self._api, self._certificate = inside, api, certificate
        self._is_written = False

    def status(self) -> ClusterStatus:
        return self._inside.status()

    def check(self) -> tuple[str, ...]:
        """See Clusters."""
        lines = self._inside.check()
        name = self._certificate.secret
        # Before its namespace there is no Secret either.
        found = self._api.get(SECRET, name)
        if found is None:
            return (*lines, f"+ Secret {name}")
        wanted, there = _data(self._certificate), found.get("data") or {}
        if any(there.get(key) != value for key, value in wanted.items()):
            return (*lines, f"~ Secret {name}: another certificate")
        return lines

    def ensure(self, say: Say = unsaid) -> ClusterStatus:
        """See Clusters. The Secret holds what the block says, once for each process."""
        status = self._inside.ensure(say)
        if not self._is_written:
            self._api.apply(_secret(self._certificate))
            self._is_written = True
        return status


def _secret(certificate: Certificate) -> dict[str, object]:
    return {
        **SECRET.object(certificate.secret, LABELS),
        "type": "kubernetes.io/tls",
        "data": _data(certificate),
    }


def _data(certificate: Certificate) -> dict[str, str]:
    return {
        "tls.crt": _encoded(certificate.certificate),
        "tls.key": _encoded(certificate.key),
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
