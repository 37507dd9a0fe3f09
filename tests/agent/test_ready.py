"""The check on a node that a program is ready."""

import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lab.agent.ready import decoded, why_not


@contextmanager
def listening(address, family=socket.AF_INET):
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("0.0.0.0", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("::", socket.AF_INET6),
    ],
)
def test_a_listener_is_found_on_any_address(address, family):
    with listening(address, family) as port:
        assert why_not("tcp", port, "/") == ""
    assert why_not("tcp", port, "/") == f"nothing listens on tcp port {port}"


def test_a_connected_socket_is_not_a_listener():
    with listening("127.0.0.1") as port, socket.create_connection(("127.0.0.1", port)) as client:
        number = client.getsockname()[1]
        assert why_not("tcp", number, "/") == f"nothing listens on tcp port {number}"


def test_an_address_is_decoded():
    assert decoded("0100007F" if sys.byteorder == "little" else "7F000001") == "127.0.0.1"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(self.path[1:])
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(params=["127.0.0.1", "::1"])
def http_port(request):
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    kind = type("Server", (HTTPServer,), {"address_family": family})
    with kind((request.param, 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, ""), (302, ""), (404, "GET /404 is answered with 404"), (503, "GET /503 is answered with 503")],
)
def test_http_is_ready_when_it_is_answered_with_2xx_or_3xx(http_port, status, reason):
    assert why_not("http", http_port, f"/{status}") == reason


def test_a_peer_that_speaks_no_http_is_not_ready():
    class Greeting(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(b"220 hello\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Greeting) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert why_not("http", server.server_address[1], "/").startswith("GET /: ")
        thread.join()


def test_the_exit_code_and_the_reason():
    with listening("127.0.0.1") as port:
        command = [sys.executable, "-m", "lab.agent.ready", "--timeout", "0.1", "tcp", str(port)]
        assert subprocess.run(command, timeout=20).returncode == 0
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (1, f"nothing listens on tcp port {port}\n")
