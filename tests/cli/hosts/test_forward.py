"""`lab forward`: services of hosts at addresses of this machine."""

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lab.cli.hosts.forward import Request
from lab.errors import UsageError

COUNTER = """
import socketserver, sys

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        count = 0
        while data := self.request.recv(1 << 16):
            count += len(data)
        self.request.sendall(b"%d bytes" % count)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128

with Server((sys.argv[1], int(sys.argv[2])), Handler) as server:
    print("listening on", server.server_address, flush=True)
    server.serve_forever()
"""
lab_test = pytest.mark.lab


@pytest.fixture
def forward(lab_process):
    """Starts `lab forward --json WORDS`: the process and the address of each port."""

    @contextmanager
    def start(*words):
        with lab_process("forward", "--json", *words) as process:
            try:
                count = sum(":" in word for word in words)
                lines = [json.loads(process.stdout.readline() or process.stderr.read()) for _ in range(count)]
                yield process, [(line["address"], line["port"]) for line in lines]
            finally:
                process.kill()

    return start


def counted(address, data):
    """The answer of the server to ``data``, which is known only after the end of the data."""
    with socket.create_connection(address, 20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


@lab_test
def test_many_connections_each_with_its_own_end_of_data(forward, shared_lab):
    with (
        shared_lab.server.start_python(COUNTER, "127.0.0.1", "7341"),
        shared_lab.client.start_python(COUNTER, shared_lab.client.address, "7342"),
        forward("server:7341", "0:client:7342") as (process, addresses),
        ThreadPoolExecutor(40) as pool,
    ):
        assert addresses[0] == ("127.0.0.1", 7341)
        assert addresses[1][0] == "127.0.0.1"
        sizes = [number * 5000 for number in range(40)]
        for address in addresses:
            answers = list(pool.map(lambda size: counted(address, bytes(size)), sizes))  # noqa: B023
            assert answers == [f"{size} bytes".encode() for size in sizes]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@lab_test
def test_a_failed_connection_is_reported_in_one_line_and_the_command_goes_on(forward, shared_lab):
    with forward("0:server:7343") as (process, [address]):
        with socket.create_connection(address, 20) as client:
            assert client.recv(1) == b""
        assert process.stderr.readline() == b"lab: server:7343: nothing listens there\n"
        with shared_lab.server.start_python(COUNTER, "127.0.0.1", "7343"):
            assert counted(address, b"abc") == b"3 bytes"


@lab_test
def test_a_port_that_is_taken_is_replaced_unless_it_was_asked_for(forward, lab_run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with forward(f"server:{port}") as (_process, [(address, other)]):
            assert (address, other) != ("127.0.0.1", port)
        code, out, errors = lab_run("forward", f"{port}:server:80")
        assert (code, out) == (3, b"")
        assert errors == f"lab: 127.0.0.1:{port}: Address already in use\n".encode()


@lab_test
def test_an_unknown_host_is_a_usage_error(lab_run):
    code, out, errors = lab_run("forward", "nobody:80")
    assert (code, out) == (2, b"")
    assert b"no node 'nobody'; there are client, " in errors


def test_the_argument_names_a_host_and_its_port():
    assert Request.parse("web:80") == Request(None, "web", 80)
    assert Request.parse("8080:web:80") == Request(8080, "web", 80)
    assert Request.parse("0:web:80") == Request(0, "web", 80)


@pytest.mark.parametrize(
    "text", ["web", "web:", ":80", "web:0", "web:65536", "x:web:80", ":web:80", "1:2:web:80"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="isn't "):
        Request.parse(text)
