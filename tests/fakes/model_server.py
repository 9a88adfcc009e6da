"""A cheap model server: ``python model_server.py PORT``; starts in a tenth of a second.

Its model is a JSON file below AZUREML_MODEL_DIR: ``{"fails": 0.5}`` answers 500 to half of the rows
``{"n": 0..99}``, ``{"sleep_ms": 20}`` is slow, ``{"starts": false}`` exits with an error at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        row = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        time.sleep(MODEL.get("sleep_ms", 0) / 1000)
        if row["n"] % 100 < 100 * MODEL.get("fails", 0):
            self._answer(500, {"error": f"no entry for {row['n']}"})
        else:
            self._answer(200, {"score": row["n"] / 100})

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    MODEL = json.loads(next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*.json")).read_text())
    if not MODEL.get("starts", True):
        raise ValueError("the model file is damaged")
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
