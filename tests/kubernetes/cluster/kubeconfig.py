"""Kubeconfig files that hold everything in themselves, so that they can be copied."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.kubernetes.cluster.certificates import Pair

NAME = "weir-test"
"""Of the cluster and the context in every kubeconfig."""


def with_certificate(
    path: Path, server: str, authority: Path, user: str, pair: Pair, namespace: str = "default"
) -> Path:
    """Write a kubeconfig whose user is the subject of a client certificate."""
    credentials = {
        "client-certificate-data": _encoded(pair.certificate),
        "client-key-data": _encoded(pair.key),
    }
    return _write(path, server, authority, user, credentials, namespace)


def with_token(
    path: Path, server: str, authority: Path, user: str, token: str, namespace: str = "default"
) -> Path:
    """Write a kubeconfig whose user is whom a bearer token names."""
    return _write(path, server, authority, user, {"token": token}, namespace)


def _write(
    path: Path,
    server: str,
    authority: Path,
    user: str,
    credentials: Mapping[str, str],
    namespace: str,
) -> Path:
    cluster = {"server": server, "certificate-authority-data": _encoded(authority)}
    context = {"cluster": NAME, "user": user, "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": user, "user": dict(credentials)}],
        "contexts": [{"name": NAME, "context": context}],
        "current-context": NAME,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
