"""A double of Azure: one HTTPS server on loopback that keeps the contract of its services.

It is spoken to by the real clients (azure-identity, the management SDK, requests). A service is a
class with methods marked by ``route``; ``Double`` serves several at once, checks tokens, counts
requests and injects faults.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

from weir.azure.cloud import PUBLIC, Cloud, cloud_of


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    base: str
    """https://127.0.0.1:PORT, for addresses in answers."""

    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Reply:
    status: int = 200
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] | None = None


class Refuse(Exception):
    """An answer with an error as ARM writes it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        details: list[Any] | None = None,
    ) -> None:
        super().__init__(code)
        error: dict[str, Any] = {"code": code, "message": message}
        if details:
            error["details"] = details
        self.reply = Reply(status, {"error": error}, headers or {})


@dataclass
class Fault:
    """What the next ``times`` requests get that match, in place of their answer."""

    pattern: str
    reply: Reply | None
    """None: the connection is broken off without an answer."""
    times: int = 1
    method: str = ""
    after: bool = False
    """The request is served first, and its answer lost."""


Handler = Callable[..., Reply]
ROUTED = "routed"
"""Name of what a handler is marked with."""


def route(method: str, pattern: str, *, audience: str = "arm") -> Callable[[Handler], Handler]:
    """``pattern`` is a regular expression over the whole path, of any case; its groups become
    arguments. ``audience`` is what a token has to be for: arm, logs, registry, or "" for none."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, ROUTED, (method, re.compile(pattern + r"/?", re.IGNORECASE), audience))
        return handler

    return mark


class Double:
    """The server, up for as long as the block lasts."""

    def __init__(self, folder: Path, *services: Any) -> None:
        authority = trustme.CA()
        self.ca_bundle = folder / "double-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.base = f"https://127.0.0.1:{self._server.server_address[1]}"
        self.directory = Directory()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._routes: list[tuple[str, re.Pattern[str], str, Handler]] = []
        self._lock = threading.Lock()
        for service in (self.directory, *services):
            self.serve(service)

    def serve(self, service: Any) -> None:
        for name in dir(service):
            handler = getattr(service, name)
            if hasattr(handler, ROUTED):
                self._routes.append((*getattr(handler, ROUTED), handler))

    @property
    def cloud(self) -> Cloud:
        addresses = {
            "authority": self.base,
            "resource_manager": self.base,
            "log_analytics": self.base.replace("127.0.0.1", "localhost"),
        }
        return cloud_of(PUBLIC.name, addresses, str(self.ca_bundle))

    def fail(self, pattern: str, status: int, code: str = "", *, retry_after: str = "", **how: Any):
        """The next requests that match get this error."""
        headers = {"Retry-After": retry_after} if retry_after else {}
        reply = Reply(
            status, {"error": {"code": code, "message": f"said on purpose: {code}"}}, headers
        )
        self.faults.append(Fault(pattern, reply, **how))

    def hang_up(self, pattern: str, **how: Any) -> None:
        """The next requests that match see their connection broken off."""
        self.faults.append(Fault(pattern, None, **how))

    def asked(self, method: str, pattern: str) -> list[Request]:
        """What came in, in order."""
        with self._lock:
            return [
                one
                for one in self.requests
                if one.method == method and re.search(pattern, one.path, re.IGNORECASE)
            ]

    def answer(self, request: Request) -> Reply | None:
        with self._lock:
            self.requests.append(request)
            fault = self._fault(request)
        if fault is not None and not fault.after:
            return fault.reply
        reply = self._served(request)
        return fault.reply if fault is not None else reply

    def _served(self, request: Request) -> Reply:
        for method, pattern, audience, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                try:
                    if audience:
                        self.directory.require(request, audience)
                    return handler(request, *match.groups())
                except Refuse as refused:
                    return refused.reply
        message = f"The double has no {request.method} {request.path}"
        return Reply(404, {"error": {"code": "ResourceNotFound", "message": message}})

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            fits = fault.method in ("", request.method)
            if fits and re.search(fault.pattern, request.path, re.IGNORECASE) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def __enter__(self) -> Double:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Directory:
    """Microsoft Entra ID: tokens for one tenant's application."""

    tenant = "11111111-2222-4333-8444-555555555555"
    client_id = "66666666-7777-4888-8999-000000000000"
    secret = "planted~client~secret"
    object_id = "99999999-aaaa-4bbb-8ccc-dddddddddddd"

    def __init__(self) -> None:
        self.expired_secrets = {"planted~expired~secret"}
        self.issued: dict[str, str] = {}
        """Audience by token."""
        self.lifetime_seconds = 3600

    def require(self, request: Request, audience: str) -> None:
        if self.issued.get(request.bearer) != audience:
            raise Refuse(
                401, "InvalidAuthenticationToken", "The access token is missing or invalid."
            )

    @route("GET", r"/([^/]+)/v2\.0/\.well-known/openid-configuration", audience="")
    def configuration(self, request: Request, tenant: str) -> Reply:
        self._require_tenant(tenant)
        base = f"{request.base}/{tenant}"
        return Reply(
            json={
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "issuer": f"{base}/v2.0",
                "tenant_region_scope": None,
            }
        )

    @route("POST", r"/([^/]+)/oauth2/v2\.0/token", audience="")
    def token(self, request: Request, tenant: str) -> Reply:
        self._require_tenant(tenant)
        form = request.form()
        if form.get("client_id") != self.client_id:
            raise _aadsts(
                700016,
                f"Application with identifier '{form.get('client_id')}' was not"
                f" found in the directory '{tenant}'.",
            )
        if "client_assertion" not in form:
            self._require_secret(form.get("client_secret", ""))
        scope = form.get("scope", "")
        token = f"planted-token-{len(self.issued)}-{time.monotonic_ns()}"
        self.issued[token] = _audience(scope, request.base)
        return Reply(
            json={
                "token_type": "Bearer",
                "expires_in": self.lifetime_seconds,
                "ext_expires_in": self.lifetime_seconds,
                "access_token": token,
            }
        )

    @route("GET", "/msi/token", audience="")
    def managed_identity(self, request: Request) -> Reply:
        """What App Service, Functions and their like serve to what runs in them."""
        if request.headers.get("x-identity-header") != "planted-header":
            return Reply(401, {"statusCode": 401, "message": "no such caller"})
        if request.query.get("client_id", self.client_id) != self.client_id:
            return Reply(400, {"statusCode": 400, "message": "Unable to load the identity"})
        token = f"planted-token-{len(self.issued)}-{time.monotonic_ns()}"
        self.issued[token] = _audience(request.query["resource"], request.base)
        expires = int(time.time()) + self.lifetime_seconds
        return Reply(
            json={
                "access_token": token,
                "expires_on": str(expires),
                "resource": request.query["resource"],
                "token_type": "Bearer",
            }
        )

    def _require_tenant(self, tenant: str) -> None:
        if tenant != self.tenant:
            raise _aadsts(
                90002,
                f"Tenant '{tenant}' not found. Check to make sure you have the"
                " correct tenant ID and are signing into the correct cloud.",
            )

    def _require_secret(self, secret: str) -> None:
        if secret in self.expired_secrets:
            raise _aadsts(7000222, "The provided client secret keys for app are expired.")
        if secret != self.secret:
            raise _aadsts(
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in"
                " the request is the client secret value, not the client secret ID.",
            )


def _aadsts(number: int, words: str) -> Refuse:
    refuse = Refuse(401, "invalid_client", words)
    description = f"AADSTS{number}: {words} Trace ID: 0 Correlation ID: 1 Timestamp: 2026-11-26"
    refuse.reply = Reply(401, {"error": "invalid_client", "error_description": description})
    return refuse


def _audience(scope: str, base: str) -> str:
    asked = scope.removesuffix("/.default")
    known = {base: "arm", base.replace("127.0.0.1", "localhost"): "logs"}
    return known.get(asked, asked)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        pass  # a caller that hung up, or did not trust the certificate


def _handler(double: Double) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = (
                self._chunked()
                if "chunked" in self.headers.get("transfer-encoding", "")
                else (self.rfile.read(length))
            )
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                unquote(parts.path),
                {name: values[0] for name, values in parse_qs(parts.query).items()},
                {name.lower(): value for name, value in self.headers.items()},
                body,
                double.base,
            )
            reply = double.answer(request)
            if reply is None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(2)
                return
            self._send(reply)

        def _chunked(self) -> bytes:
            whole = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole

        def _send(self, reply: Reply) -> None:
            body = reply.body
            if body is None:
                body = b"" if reply.json is None else json.dumps(reply.json).encode()
            pieces = [body] if isinstance(body, bytes) else body
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.json is not None:
                self.send_header("content-type", "application/json")
            if "content-length" in reply.headers:
                # Of an answer that breaks off before it is whole.
                self.close_connection = True
            elif isinstance(body, bytes):
                self.send_header("content-length", str(len(body)))
            else:
                self.close_connection = True
                self.send_header("connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815 names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    return Handler
