from __future__ import annotations

import io
import socket
import threading

import pytest

from tests.unit.local.answering import Reply, answering
from weir.errors import UserError
from weir.local.posting import BrokenAnswer, Connection, Target, read_answer


def connection(uri: str, *, timeout_seconds: float = 5) -> Connection:
    return Connection(Target.of(uri), {"A": "b"}, timeout_seconds=timeout_seconds)


def test_requests_share_one_connection() -> None:
    with answering() as server:
        client = connection(server.uri)
        answers = [client.post(b"%d" % number) for number in range(3)]
        client.close()
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert answers[0].headers["x-weir-version"] == "v1"
    assert [asked.body for asked in server.asked] == [b"0", b"1", b"2"]
    assert len(server.connections) == 1


def test_a_chunked_answer_is_read_whole_and_the_next_one_follows() -> None:
    with answering(lambda *_: Reply(body=b"x" * 5000, chunked=True)) as server:
        client = connection(server.uri)
        assert [len(client.post(b"").body) for _ in range(2)] == [5000, 5000]
        client.close()
    assert len(server.connections) == 1


def test_a_connection_that_the_server_ends_is_opened_anew() -> None:
    with answering(lambda *_: Reply(headers={"Connection": "close"})) as server:
        client = connection(server.uri)
        assert [client.post(b"").status for _ in range(2)] == [200, 200]
    assert len(server.connections) == 2


def test_a_request_without_an_answer_fails_once_and_is_not_sent_again() -> None:
    with answering(lambda _, number: Reply(hang_up=number == 0)) as server:
        client = connection(server.uri)
        with pytest.raises(BrokenAnswer, match="closed without an answer"):
            client.post(b"1")
        assert client.post(b"2").status == 200
        client.close()
    assert [asked.body for asked in server.asked] == [b"1", b"2"]


def test_silence_is_a_timeout() -> None:
    held_back = threading.Event()
    with answering(lambda *_: Reply(wait=held_back)) as server:
        with pytest.raises(TimeoutError):
            connection(server.uri, timeout_seconds=0.1).post(b"")
        held_back.set()


def test_a_port_that_nobody_listens_on_is_an_os_error() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            connection(f"http://127.0.0.1:{unheard.getsockname()[1]}/").post(b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_an_answer_that_is_cut_or_no_http_is_broken(sent: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        read_answer(io.BufferedReader(io.BytesIO(sent)))


@pytest.mark.parametrize("uri", ["https://127.0.0.1/score", "127.0.0.1:80", "http://h:port/", ""])
def test_only_a_plain_http_address_is_taken(uri: str) -> None:
    with pytest.raises(UserError, match=r"traffic\.uri"):
        Target.of(uri)
