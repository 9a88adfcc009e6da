from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.builders import endpoint
from weir import envoy
from weir.endpoint import Split
from weir.errors import TemporaryError
from weir.local.acknowledgement import Acknowledged, GatewayDownError
from weir.local.admin import Admin
from weir.local.gateway_files import FRONT_ROUTES, GatewayFiles
from weir.local.home import Home
from weir.ports import Keys

FRAUD = endpoint("fraud").control("v1").treatment("v2", 25).build()
KEYS = Keys(primary="a" * 40, secondary="b" * 40)
OLD = envoy.front_routes(FRAUD, KEYS)
NEW = envoy.front_routes(FRAUD.with_split(Split.everything_to("v1")), KEYS)
REJECTED = "http.front.rds.front.update_rejected"


@pytest.fixture
def files(tmp_path: Path) -> GatewayFiles:
    made = GatewayFiles(Home(tmp_path), "fraud")
    made.write(FRONT_ROUTES, envoy.render(OLD))
    return made


@contextmanager
def envoy_answering(files: GatewayFiles, statistics: list[Mapping[str, Any]]) -> Iterator[None]:
    """An admin socket that answers with each of ``statistics`` in turn, then with the last."""
    answers = list(statistics)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = answers.pop(0) if len(answers) > 1 else answers[0]
            found = [{"name": name, "value": value} for name, value in now.items()]
            body = json.dumps({"stats": found}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return ""

        def log_message(self, *_: object) -> None:
            return

    server = socketserver.ThreadingUnixStreamServer(str(files.admin_socket), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def put_new(files: GatewayFiles) -> None:
    Acknowledged(files, Admin(files.admin_socket), timeout_seconds=0.2).put(FRONT_ROUTES, NEW)


def test_what_is_written_while_envoy_is_down_stays_for_its_next_start(files: GatewayFiles) -> None:
    with pytest.raises(GatewayDownError, match="takes effect when the gateway is back") as raised:
        put_new(files)
    assert raised.value.reason == "gateway.down"
    assert files.resources(FRONT_ROUTES) == NEW


def test_what_envoy_refuses_is_taken_back(files: GatewayFiles) -> None:
    with (
        envoy_answering(files, [{REJECTED: 0}, {REJECTED: 1}]),
        pytest.raises(TemporaryError) as raised,
    ):
        put_new(files)
    assert raised.value.reason == "gateway.rejected"
    assert files.resources(FRONT_ROUTES) == OLD


def test_what_an_answering_envoy_does_not_take_is_taken_back(files: GatewayFiles) -> None:
    with envoy_answering(files, [{REJECTED: 0}]), pytest.raises(TemporaryError) as raised:
        put_new(files)
    assert raised.value.reason == "gateway.not_acknowledged"
    assert files.resources(FRONT_ROUTES) == OLD
