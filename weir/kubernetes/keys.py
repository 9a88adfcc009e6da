"""The keys of an endpoint: one Secret, which the guards of all its versions read."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from weir.envoy.guard import AUTH_FILE
from weir.envoy.guard_auth import TokenRules, auth_file
from weir.errors import PermanentError, WeirError
from weir.kubernetes import names
from weir.kubernetes.answers import Conflict
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import POD, SECRET, Object, name_of
from weir.kubernetes.routes import name_taken
from weir.kubernetes.settings import ClusterSettings
from weir.ports import Keys

AUTH = "weir/auth"
"""Annotation: what callers have to show; keys, tokens or nothing."""

KEYS_AT = "weir/keys-at"
"""Annotation of pods, changed with the keys: it has the kubelet look at the Secret at once."""

_ATTEMPTS = 10


class EndpointKeys:
    """Reads and writes the Secrets. ``settle`` remembers what it has seen to be right."""

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self._api, self._settings = api, settings
        self._settled: dict[str, str] = {}

    def ensure(self, endpoint: str, auth_enabled: bool) -> None:
        """The Secret is there; the keys in it are never changed by this.

        It belongs to nothing: keys outlast whatever else of an endpoint is lost. Raises
        PermanentError ``gateway.name_taken``.
        """
        name = names.of_keys(endpoint)
        found = self._api.get(SECRET, name)
        if found is None:
            try:
                self._make(endpoint, Keys(_new_key(), _new_key()), auth_enabled)
            except Conflict:
                return
            self._settled[endpoint] = self._mode(auth_enabled)
        elif not names.is_of(endpoint, found):
            raise name_taken(endpoint, "Secret", name)

    def are_there(self, endpoint: str) -> bool:
        return self._api.get(SECRET, names.of_keys(endpoint)) is not None

    def settle(self, endpoint: str, auth_enabled: bool) -> None:
        """Callers have to show what the endpoint wants of them.

        Pods that run keep what they read, also where the Secret is gone: then nothing is changed.
        """
        mode = self._mode(auth_enabled)
        if self._settled.get(endpoint) == mode:
            return
        for _ in range(_ATTEMPTS):
            secret = self._api.get(SECRET, names.of_keys(endpoint))
            if secret is None:
                return
            if secret["metadata"].get("annotations", {}).get(AUTH) == mode:
                break
            try:
                self._write(endpoint, secret, _keys_in(secret), auth_enabled)
            except Conflict:
                continue
            break
        else:
            raise self._contended(endpoint)
        self._settled[endpoint] = mode

    def read(self, endpoint: str) -> Keys:
        """Raises PermanentError ``gateway.unknown``."""
        return _keys_in(self._secret(endpoint))

    def rotate(self, endpoint: str, which: Literal["primary", "secondary"]) -> Keys:
        """One key is new; guards take it up as soon as the kubelet passes it on."""
        for _ in range(_ATTEMPTS):
            secret = self._secret(endpoint)
            changed = replace(_keys_in(secret), **{which: _new_key()})
            mode = secret["metadata"].get("annotations", {}).get(AUTH)
            try:
                written = self._write(endpoint, secret, changed, mode != "nothing")
            except Conflict:
                continue
            self._nudge(endpoint, str(written["metadata"]["resourceVersion"]))
            return changed
        raise self._contended(endpoint)

    def forget(self, endpoint: str) -> None:
        """The endpoint is gone."""
        self._settled.pop(endpoint, None)

    def _make(self, endpoint: str, keys: Keys, auth_enabled: bool) -> None:
        manifest = SECRET.object(
            names.of_keys(endpoint),
            names.endpoint_labels(endpoint),
            {AUTH: self._mode(auth_enabled)},
        )
        manifest["type"] = "Opaque"
        manifest["data"] = self._data(keys, auth_enabled)
        self._api.create(manifest)

    def _contended(self, endpoint: str) -> Conflict:
        return Conflict(
            "kubernetes.conflict",
            "somebody else keeps changing the keys.",
            remedy="Run the command again.",
            where=f"endpoint {endpoint}",
        )

    def _secret(self, endpoint: str) -> Object:
        found = self._api.get(SECRET, names.of_keys(endpoint))
        if found is None:
            raise PermanentError(
                "gateway.unknown",
                f"endpoint {endpoint} has no keys.",
                remedy="Release a version to it: that makes them.",
                where=self._api.where,
            )
        return found

    def _write(self, endpoint: str, secret: Object, keys: Keys, auth_enabled: bool) -> Object:
        change = {
            "metadata": {
                "resourceVersion": secret["metadata"]["resourceVersion"],
                "annotations": {AUTH: self._mode(auth_enabled)},
            },
            "data": self._data(keys, auth_enabled),
        }
        return self._api.patch(SECRET, names.of_keys(endpoint), change)

    def _nudge(self, endpoint: str, version: str) -> None:
        pods, _ = self._api.list(POD, {names.ENDPOINT: endpoint})
        for pod in pods:
            # A Gateway's own pods may have its labels.
            is_ours = names.VERSION in pod["metadata"]["labels"]
            if is_ours and "deletionTimestamp" not in pod["metadata"]:
                self._nudge_pod(name_of(pod), version)

    def _nudge_pod(self, name: str, version: str) -> None:
        try:
            self._api.patch(POD, name, {"metadata": {"annotations": {KEYS_AT: version}}})
        except WeirError as error:
            # A pod that has gone meanwhile needs no keys.
            if error.reason != "kubernetes.missing":
                raise

    def _mode(self, auth_enabled: bool) -> str:
        if not auth_enabled:
            return "nothing"
        return "tokens" if self._settings.token_issuer else "keys"

    def _data(self, keys: Keys, auth_enabled: bool) -> dict[str, str]:
        shown: Keys | TokenRules | None = keys if auth_enabled else None
        if auth_enabled and self._settings.token_issuer:
            shown = TokenRules(
                issuer=self._settings.token_issuer,
                audiences=self._settings.token_audiences,
                jwks=self._settings.token_jwks,
            )
        texts = {
            "primary": keys.primary,
            "secondary": keys.secondary,
            AUTH_FILE: auth_file(shown),
        }
        return {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


def _keys_in(secret: Mapping[str, Any]) -> Keys:
    data = secret.get("data") or {}

    def text(name: str) -> str:
        return base64.b64decode(data.get(name, "")).decode("utf-8", "replace")

    return Keys(primary=text("primary"), secondary=text("secondary"))


def _new_key() -> str:
    return secrets.token_urlsafe(32)
