"""The panel's interface to agents, as small as it can be: ``panel.py FOLDER CA CERTIFICATE KEY PORT``.

It publishes ``FOLDER/snapshot.json`` under the etag in ``FOLDER/etag`` and appends each result to ``FOLDER/results``.
The connection is what nginx makes of it: TLS with client certificates.
"""

import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FOLDER, CA, CERTIFICATE, KEY = map(Path, sys.argv[1:5])


class Panel(BaseHTTPRequestHandler):
    """Answers one agent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Hold the request until the snapshot is another than the agent's, or its wait is over."""
        wait = float(parse_qs(urlsplit(self.path).query)["wait"][0])
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            etag = FOLDER / "etag"
            if etag.exists() and f'"{etag.read_text()}"' != self.headers.get("If-None-Match"):
                self._answer(200, (FOLDER / "snapshot.json").read_bytes(), etag.read_text())
                return
            if not etag.exists():
                self._answer(404)
                return
            time.sleep(0.05)
        self._answer(304)

    def do_POST(self) -> None:
        """Keep a result."""
        result = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with (FOLDER / "results").open("a") as results:
            results.write(json.dumps(result) + "\n")
        self._answer(204)

    def _answer(self, status: int, body: bytes = b"", etag: str = "") -> None:
        self.send_response(status)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=CA)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(CERTIFICATE, KEY)
    server = ThreadingHTTPServer(("", int(sys.argv[5])), Panel)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
