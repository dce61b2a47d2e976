"""An upstream that answers with the headers that reached it, on a socket and on port 8000; /slow takes 52 seconds."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SOCKET = "/run/upstream.sock"


class Echo(BaseHTTPRequestHandler):
    """Answers with the request's headers."""

    def do_GET(self) -> None:
        """Answer, after a while where that is asked for."""
        if self.path.endswith("/slow"):
            time.sleep(52)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = str(self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "ALLOWALL")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the library's name

    def address_string(self) -> str:
        """Name the client, who has no address on a socket."""
        return "client"


class OnSocket(ThreadingHTTPServer):
    """The same on a Unix socket."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Make the socket, open to nginx."""
        self.socket.bind(SOCKET)
        Path(SOCKET).chmod(0o666)
        self.server_name, self.server_port = "localhost", 0


if __name__ == "__main__":
    threading.Thread(target=OnSocket(SOCKET, Echo).serve_forever).start()
    ThreadingHTTPServer(("127.0.0.1", 8000), Echo).serve_forever()
