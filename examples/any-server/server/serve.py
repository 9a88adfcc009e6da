"""A model server of one's own, in the standard library: answers /health and POST /score."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def load():
    path = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("thresholds.json"))
    return json.loads(path.read_text())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Status line, headers and body leave in one packet.
    wbufsize = -1

    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, {"model": MODEL["name"]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            amounts = json.loads(body)["amounts"]
            flagged = [amount > MODEL["largest_amount"] for amount in amounts]
        except (ValueError, KeyError, TypeError) as error:
            self.answer(400, {"error": f"send {{'amounts': [numbers]}}: {error!r}"})
        else:
            self.answer(200, {"flagged": flagged})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The gateway keeps the access log."""


if __name__ == "__main__":
    MODEL = load()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
