"""A registry of few words on loopback, which hands out tokens as those of clouds do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.listening import listening


@dataclass
class Stub:
    """Answers ``status`` to whoever shows the token, which ``token_status`` hands out."""

    status: int = 200
    token_status: int = 200
    digest: str = "sha256:feed"
    realm: str = ""
    challenge: str = ""
    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def stub_registry(stub: Stub) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            stub.forms.append(parse_qs(self.rfile.read(length).decode()))
            self.answer()

        def answer(self) -> None:
            sent = self.headers.get("Authorization", "")
            stub.asked.append((self.command, self.path, sent))
            if urlsplit(self.path).path == "/token":
                self.reply(stub.token_status, b'{"access_token": "let-me-in"}')
            elif sent == "Bearer let-me-in":
                self.reply(stub.status, b"manifest")
            else:
                self.reply(401, b"")

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            realm = stub.realm or f"http://{stub.host}/token"
            usual = f'Bearer realm="{realm}",service="of-stub",scope="repository:a/b:pull"'
            self.send_header("WWW-Authenticate", stub.challenge or usual)
            if stub.digest:
                self.send_header("Docker-Content-Digest", stub.digest)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with listening(Handler) as stub.port:
        yield stub
