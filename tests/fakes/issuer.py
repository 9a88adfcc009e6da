"""An issuer of JSON web tokens with a key of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://login.example.com/tenant"
AUDIENCE = "api://fraud"


class Issuer:
    """``algorithm`` is what its key is for."""

    def __init__(self, algorithm: Literal["RS256", "ES256"] = "RS256", kid: str = "key-1") -> None:
        self.algorithm = algorithm
        self.kid = kid
        self._rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._ec = ec.generate_private_key(ec.SECP256R1())

    def key(self) -> dict[str, str]:
        """The public key, as issuers publish it."""
        if self.algorithm == "RS256":
            public = self._rsa.public_key().public_numbers()
            found = {"kty": "RSA", "n": _number(public.n, 256), "e": _number(public.e, 3)}
        else:
            point = self._ec.public_key().public_numbers()
            found = {"kty": "EC", "crv": "P-256", "x": _number(point.x, 32)}
            found["y"] = _number(point.y, 32)
        return {**found, "kid": self.kid, "use": "sig"}

    def jwks(self) -> str:
        return json.dumps({"keys": [self.key()]})

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for an hour; a claim that is None is left out."""
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "someone", "exp": now + 3600, **claims}
        head = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **(header or {})}
        text = ".".join(
            _base64(json.dumps({k: v for k, v in part.items() if v is not None}).encode())
            for part in (head, said)
        )
        return f"{text}.{_base64(self._signed(str(head['alg']), text.encode()))}"

    def _signed(self, algorithm: str, text: bytes) -> bytes:
        if algorithm == "none":
            return b""
        if algorithm == "HS256":
            # The well-known confusion: the public key taken for a shared secret.
            return hmac.digest(json.dumps(self.key()).encode(), text, hashlib.sha256)
        if algorithm == "ES256":
            numbers = decode_dss_signature(self._ec.sign(text, ec.ECDSA(hashes.SHA256())))
            return b"".join(number.to_bytes(32, "big") for number in numbers)
        kind = hashes.SHA384() if algorithm == "RS384" else hashes.SHA256()
        return self._rsa.sign(text, padding.PKCS1v15(), kind)


def _number(value: int, length: int) -> str:
    return _base64(value.to_bytes(length, "big"))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
