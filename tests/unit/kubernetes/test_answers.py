"""What refusals of the API server become, and a server that is too old."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from weir.errors import PermanentError, TemporaryError
from weir.kubernetes.answers import Conflict, FieldConflict, Gone, refusal
from weir.kubernetes.api import Api
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.settings import ClusterSettings


def body(message: str = "words", **more: object) -> str:
    return json.dumps({"kind": "Status", "message": message, **more})


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "kubernetes.invalid", PermanentError),
        (401, "kubernetes.unauthorized", PermanentError),
        (403, "kubernetes.forbidden", PermanentError),
        (404, "kubernetes.missing", PermanentError),
        (408, "kubernetes.busy", TemporaryError),
        (409, "kubernetes.conflict", Conflict),
        (410, "kubernetes.gone", Gone),
        (413, "kubernetes.invalid", PermanentError),
        (422, "kubernetes.invalid", PermanentError),
        (429, "kubernetes.busy", TemporaryError),
        (500, "kubernetes.failing", TemporaryError),
        (503, "kubernetes.failing", TemporaryError),
    ],
)
def test_every_status_has_its_reason(status: int, reason: str, kind: type) -> None:
    more = {"reason": "NotFound"} if status == 404 else {}
    error = refusal(status, body(**more), "apply Deployment a", "cluster c")
    assert error.reason == reason
    assert isinstance(error, kind)
    assert error.remedy


def test_who_owns_a_field_is_named() -> None:
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl" using apps/v1',
        "field": ".spec.replicas",
    }
    error = refusal(409, body(details={"causes": [cause]}), "apply Deployment a", "c")
    assert isinstance(error, FieldConflict)
    assert error.managers == "kubectl"
    assert "kubectl owns .spec.replicas" in error.message


def test_a_body_that_is_none_of_kubernetes_is_cut_and_printable() -> None:
    error = refusal(502, "<html>\x1b[31m" + "x" * 5000, "read", "c")
    assert "\x1b" not in error.message
    assert len(error.message) < 700


class _Old(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = json.dumps({"gitVersion": "v1.29.4", "major": "1", "minor": "29"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def old_server() -> Iterator[Api]:
    server = HTTPServer(("127.0.0.1", 0), _Old)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    kubeconfig = {
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
        ],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    try:
        yield Api(connect(Access(kubeconfig_text=yaml.safe_dump(kubeconfig))), "weir")
    finally:
        server.shutdown()
        server.server_close()


def test_a_cluster_that_is_too_old_is_told_what_is_needed() -> None:
    with old_server() as api, pytest.raises(PermanentError) as raised:
        KubernetesClusters(api, ClusterSettings()).ensure()
    assert raised.value.reason == "kubernetes.too_old"
    assert "v1.29.4" in raised.value.message
    assert "1.30 or newer" in raised.value.message
