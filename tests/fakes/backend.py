"""A trivial model server: ``python backend.py NAME PORT [single]``.

Answers with its name. The body may ask for more:
``{"sleep_ms": 50, "status": 500, "break": true, "answer_bytes": 1000}``.
With FAILS_EVERY=K in the environment it fails bodies whose ``"n"`` is a multiple of K.
Closes every connection after its response, as synchronous gunicorn workers do.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    name = ""
    fails_every = int(os.environ.get("FAILS_EVERY", "0"))
    # An answer leaves in one piece: killed between head and body, no gateway could retry it.
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer(200, b"healthy")

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        asked = json.loads(body) if body.startswith(b"{") else {}
        time.sleep(asked.get("sleep_ms", 0) / 1000)
        seen = {key.lower(): value for key, value in self.headers.items()}
        answer = {"name": self.name, "path": self.path, "length": length, "headers": seen}
        extra = asked.get("response_headers", {})
        fails = self.fails_every and asked.get("n", 1) % self.fails_every == 0
        status = asked.get("status", 500 if fails else 200)
        body = json.dumps(answer).encode().ljust(asked.get("answer_bytes", 0))
        self._answer(status, body, extra, "break" in asked)

    def _answer(
        self, status: int, body: bytes, extra: dict[str, str] | None = None, broken: bool = False
    ) -> None:
        self.send_response(status)
        for key, value in (extra or {}).items():
            self.send_header(key, value)
        self.send_header("content-length", str(len(body) + (100 if broken else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class SingleThreaded(HTTPServer):
    request_queue_size = 1024

    def handle_error(self, *_: object) -> None:
        pass  # a prober that hung up


class Threaded(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    Handler.name = sys.argv[1]
    kind = SingleThreaded if sys.argv[3:] == ["single"] else Threaded
    kind(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
