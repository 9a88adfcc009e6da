"""Who may call an endpoint, as the one file that every guard of the endpoint reads.

The guard has an empty slot among its filters. What is in the slot comes by Envoy's extension
discovery from this file, so that the keys can change without touching a connection: the next
request, also one on a connection that is open, is judged by the new file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weir.envoy.resources import TYPE, file_source, render, typed
from weir.envoy.routes import credentials
from weir.ports import Keys

SLOT = "weir.auth"

_KEYS = "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth"
_TOKENS = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_NOTHING = "envoy.extensions.filters.http.rbac.v3.RBAC"

_PUBLIC = ("kty", "kid", "use", "n", "e", "crv", "x", "y")
"""The members of a JSON web key that say how to verify; the others are left out."""


@dataclass(frozen=True)
class TokenRules:
    """Which tokens are accepted: those of ``issuer``, for one of ``audiences``, signed by ``jwks``.

    ``jwks`` is the issuer's key set as JSON. Keys for RS256 and ES256 are used and all others left
    out. A token has to expire and is not passed on to the model server. Envoy takes a token until
    60 seconds after it has expired, for clocks that differ.

    Raises ValueError where anything is missing, because Envoy would then not ask for it.
    """

    issuer: str
    audiences: tuple[str, ...]
    jwks: str

    def __post_init__(self) -> None:
        if not self.issuer:
            raise ValueError("issuer is empty: the tokens of every issuer would be accepted")
        if not self.audiences or not all(self.audiences):
            raise ValueError("audiences is empty: tokens for other services would be accepted")
        public_keys(self.jwks)


def auth_file(auth: Keys | TokenRules | None) -> str:
    """The text of the guard's file ``AUTH_FILE``; it holds secrets where ``auth`` is ``Keys``.

    None lets everybody in. The same ``auth`` gives the same text. What a caller shows of himself
    does not reach the model server; with None his header Authorization does. Nothing else should
    write the file: one that Envoy refuses it quotes in its own log, keys and all.
    """
    if isinstance(auth, Keys):
        wanted = _keys(auth)
    elif isinstance(auth, TokenRules):
        wanted = _tokens(auth)
    else:
        wanted = typed(_NOTHING)
    return render(
        [typed("envoy.config.core.v3.TypedExtensionConfig", name=SLOT, typed_config=wanted)]
    )


def auth_slot(path: Path, mount: Path) -> dict[str, Any]:
    """The HTTP filter that is what the file at ``path`` says, and without one refuses everybody."""
    return {
        "name": SLOT,
        "config_discovery": {
            "config_source": file_source(path, mount),
            "type_urls": [TYPE + name for name in (_KEYS, _TOKENS, _NOTHING)],
        },
    }


def public_keys(jwks: str) -> list[dict[str, str]]:
    """The keys of ``jwks`` that verify RS256 or ES256, each bound to its algorithm.

    Raises ValueError when there is none.
    """
    try:
        document = json.loads(jwks)
        listed = [key for key in document["keys"] if isinstance(key, Mapping)]
    except (ValueError, KeyError, TypeError):
        # The parser's message would quote the text.
        raise ValueError("jwks is not a JSON web key set") from None
    found = []
    for key in listed:
        algorithm = _algorithm(key)
        if algorithm and key.get("alg", algorithm) == algorithm and key.get("use", "sig") == "sig":
            public = {name: str(key[name]) for name in _PUBLIC if name in key}
            # Without it the token would say how it wants to be verified.
            found.append({**public, "alg": algorithm})
    if not found:
        raise ValueError("jwks has no key for RS256 or ES256")
    return found


def _algorithm(key: Mapping[str, Any]) -> str | None:
    if key.get("kty") == "RSA":
        return "RS256"
    if key.get("kty") == "EC" and key.get("crv") == "P-256":
        return "ES256"
    return None


def _keys(keys: Keys) -> dict[str, Any]:
    # Envoy refuses a file that has the same key twice.
    different = {one["key"]: one for one in reversed(credentials(keys))}
    return typed(
        _KEYS,
        credentials=list(reversed(different.values())),
        key_sources=[{"header": "Authorization"}],
        forwarding={"hide_credentials": True},
    )


def _tokens(rules: TokenRules) -> dict[str, Any]:
    provider = {
        "issuer": rules.issuer,
        "audiences": list(rules.audiences),
        "local_jwks": {"inline_string": json.dumps({"keys": public_keys(rules.jwks)})},
        "require_expiration": True,
        "forward": False,
        # By default a token would be taken from the query as well, and so get into others' logs.
        "from_headers": [
            {"name": "Authorization", "value_prefix": scheme}
            for scheme in ("Bearer ", "bearer ", "BEARER ")
        ],
    }
    return typed(
        _TOKENS,
        providers={"issuer": provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
    )
