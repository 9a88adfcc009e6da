from __future__ import annotations

import socket
from pathlib import Path

import pytest

from weir.errors import PermanentError
from weir.local.processes import ProcessTable
from weir.local.server import SERVER, want_server


def port_of_server(home: Path) -> int | None:
    spec = ProcessTable(home).spec(SERVER)
    assert spec is not None
    return spec.port


def test_a_server_keeps_its_port_while_that_is_free(tmp_path: Path) -> None:
    want_server(tmp_path)
    port = port_of_server(tmp_path)
    want_server(tmp_path)
    assert port_of_server(tmp_path) == port


def test_a_server_whose_port_was_taken_since_gets_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        other.close()
        want_server(tmp_path, port)
    with socket.create_server(("127.0.0.1", port)):
        want_server(tmp_path)
        assert port_of_server(tmp_path) != port


def test_a_port_that_is_asked_for_and_taken_is_refused(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(PermanentError) as raised,
    ):
        want_server(tmp_path, other.getsockname()[1])
    assert raised.value.reason == "server.port_taken"
