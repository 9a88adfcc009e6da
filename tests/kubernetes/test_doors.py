"""The ways in which callers reach an endpoint, as the gateway's controller takes them."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.builders import endpoint
from tests.kubernetes.test_ownership import Shop, shop
from weir.kubernetes.kinds import GATEWAY, ROUTE, SECRET
from weir.kubernetes.settings import SharedGateway

pytestmark = pytest.mark.kubernetes

HOSTS = {"host_suffix": "models.example.com"}


def certificate() -> dict[str, str]:
    """The data of a Secret with a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fraud.models.example.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    texts = {
        "tls.crt": made.public_bytes(serialization.Encoding.PEM),
        "tls.key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    }
    return {file: base64.b64encode(text).decode() for file, text in texts.items()}


def test_an_endpoint_listens_with_tls_under_its_host() -> None:
    with shop(tls_secret="certificate", gateway_port=443, **HOSTS) as there:
        secret = SECRET.object("certificate", {})
        there.admin.create({**secret, "type": "kubernetes.io/tls", "data": certificate()})
        there.opened(endpoint("fraud").control("v1").build())
        assert there.traffic.scoring_uri("fraud") == "https://fraud.models.example.com/score"
        assert there.traffic.trouble("fraud") == ""
        (listener,) = there.there(GATEWAY, "fraud")["status"]["listeners"]
        conditions = {one["type"]: one["status"] for one in listener["conditions"]}
        assert (conditions["Programmed"], conditions["ResolvedRefs"]) == ("True", "True")


@pytest.mark.parametrize(
    ("settings", "uri"),
    [
        ({}, "http://192.0.2.10/fraud/score"),
        (HOSTS, "http://fraud.models.example.com/score"),
    ],
    ids=["by path", "by host"],
)
def test_an_endpoint_shares_a_gateway(settings: dict[str, str], uri: str) -> None:
    with shop(**settings) as there:
        shared = GATEWAY.object("public", {})
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        shared["spec"] = {"gatewayClassName": "approuting-istio", "listeners": [listener]}
        there.admin.apply(shared)
        sharing = _sharing(there)
        sharing.opened(endpoint("fraud").control("v1").build())
        assert sharing.traffic.scoring_uri("fraud") == uri
        assert sharing.traffic.trouble("fraud") == ""
        assert there.admin.get(GATEWAY, "fraud") is None
        sharing.traffic.remove("fraud")
        assert there.admin.get(ROUTE, "fraud") is None
        assert there.admin.get(GATEWAY, "public") is not None


def _sharing(there: Shop) -> Shop:
    """The same place, with its Gateway ``public`` for all endpoints."""
    settings = replace(
        there.place.settings, shared_gateway=SharedGateway("public", there.place.namespace)
    )
    return Shop(replace(there.place, settings=settings))
