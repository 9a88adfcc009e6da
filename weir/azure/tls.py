"""How callers of an AKS cluster get TLS or a name: the fields that Azure ML had, and their rules.

Pure. ``ssl_cname``, ``ssl_cert`` and ``ssl_key`` belong together; ``leaf_domain_label`` gives a
name of Azure's own instead, which Azure has no certificate for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from weir.errors import UserError
from weir.kubernetes.certificates import Certificate
from weir.kubernetes.settings import ClusterSettings

SECRET = "weir-tls"
TLS_PORT = 443
_HTTP_PORT = 80

DNS_LABEL = "service.beta.kubernetes.io/azure-dns-label-name"
INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
INTERNAL_SUBNET = "service.beta.kubernetes.io/azure-load-balancer-internal-subnet"

_PEM = {
    "ssl_cert": re.compile(r"-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----"),
    "ssl_key": re.compile(r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[\s\S]+-----END"),
}
_LABEL = re.compile(r"[a-z][a-z0-9-]{1,61}[a-z0-9]")


def certificate_of(
    ssl_cname: str, ssl_cert: str, ssl_key: str, leaf_domain_label: str, tls_secret: str
) -> Certificate | None:
    """The certificate that these fields hold, None for none of them.

    Raises UserError ``cluster.tls`` for half of them, or for two ways at once.
    """
    fields = {"ssl_cname": ssl_cname, "ssl_cert": ssl_cert, "ssl_key": ssl_key}
    given = [name for name, value in fields.items() if value]
    others = {"leaf_domain_label": leaf_domain_label, "tls_secret": tls_secret}
    if given:
        for name, value in others.items():
            if value:
                raise _wrong(f"{given[0]} and {name} exclude each other", name)
    if leaf_domain_label and not _LABEL.fullmatch(leaf_domain_label):
        raise _wrong(f"{leaf_domain_label!r} can be no label of a name", "leaf_domain_label")
    missing = [name for name in fields if name not in given]
    if given and missing:
        raise _wrong(
            f"with {' and '.join(given)} there has to be {' and '.join(missing)} as well",
            missing[0],
        )
    if not given:
        return None
    for name, pattern in _PEM.items():
        if not pattern.search(fields[name]):
            # Not the text itself: it may be a key in another form.
            raise _wrong(f"{name} is no PEM text", name)
    return Certificate(SECRET, ssl_cert, ssl_key)


def with_front(
    settings: ClusterSettings,
    *,
    certificate: Certificate | None = None,
    ssl_cname: str = "",
    leaf_domain_label: str = "",
    is_internal: bool = False,
    internal_subnet: str = "",
) -> ClusterSettings:
    """``settings`` with what these fields mean for Gateways. What the block says itself stays.

    Raises UserError ``cluster.load_balancer`` for a subnet without an internal load balancer.
    """
    if internal_subnet and not is_internal:
        raise UserError(
            "cluster.load_balancer",
            "load_balancer_subnet is for load_balancer_type InternalLoadBalancer alone.",
            remedy="Leave it empty, or set load_balancer_type as well.",
            where="load_balancer_subnet",
        )
    annotations: dict[str, str] = {}
    if is_internal:
        annotations[INTERNAL] = "true"
    if internal_subnet:
        annotations[INTERNAL_SUBNET] = internal_subnet
    if leaf_domain_label:
        annotations[DNS_LABEL] = leaf_domain_label
    annotated: Mapping[str, str] = {**annotations, **settings.gateway_annotations}
    settings = replace(settings, gateway_annotations=annotated)
    if certificate is None:
        return settings
    return replace(
        settings,
        tls_secret=certificate.secret,
        gateway_port=TLS_PORT if settings.gateway_port == _HTTP_PORT else settings.gateway_port,
        host_suffix=settings.host_suffix or ssl_cname.removeprefix("*."),
    )


def _wrong(why: str, where: str) -> UserError:
    return UserError(
        "cluster.tls",
        f"{why}.",
        remedy="Give ssl_cname, ssl_cert and ssl_key all three, or leaf_domain_label, or"
        " tls_secret.",
        where=where,
    )
