"""A page that counts its visitors in Redis."""

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

host, _, port = os.environ["CACHE"].partition(":")


def count() -> str:
    with socket.create_connection((host, int(port)), timeout=1) as cache, cache.makefile() as answer:
        cache.sendall(b"INCR visitors\r\n")
        return answer.readline().strip().removeprefix(":")


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/count":
            self.answer(200, "ready")
            return
        try:
            self.answer(200, f"visitor {count()}")
        except OSError as error:
            self.answer(503, f"no count: {error}")

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 8000), Page).serve_forever()
