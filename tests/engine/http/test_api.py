"""Requests of the Engine API over a Unix socket, and the search for that socket."""

import hashlib
import http.server
import json
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.engine.http.api import ApiError, EngineApi, SocketTransport, filters
from lab.engine.http.endpoint import DEFAULT_SOCKET, local_socket
from lab.errors import EnvironmentFailure


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.headers.get("Upgrade") == "tcp" and self.path not in self.server.answers:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_UPGRADE()
            return
        length = int(self.headers.get("Content-Length", 0))
        self.server.requests.append((self.command, self.path, self.rfile.read(length)))
        status, body = self.server.answers.get(self.path, (200, b"[]"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass

    def do_UPGRADE(self):
        """The answer to a request for a stream, with the first bytes of the stream in the same piece."""
        self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst")
        self.wfile.write(self.rfile.read(4))
        self.close_connection = True


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path):
        super().__init__(path, Handler)
        self.requests, self.answers, self.connections = [], {}, []

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, ("engine", 0))


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "engine.sock")


@pytest.fixture
def engine(path):
    with UnixServer(path) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def api(path):
    api = EngineApi(SocketTransport(path))
    yield api
    api.close()


def test_requests_share_a_connection_and_their_words_are_quoted(api, engine):
    assert api.get("/networks", all=True, filters=filters("a=b c")) == []
    api.post("/volumes/create", {"Name": "x"})
    api.delete("/volumes/a b")
    assert engine.requests == [
        ("GET", "/v1.44/networks?all=true&filters=%7B%22label%22%3A+%5B%22a%3Db+c%22%5D%7D", b""),
        ("POST", "/v1.44/volumes/create", b'{"Name": "x"}'),
        ("DELETE", "/v1.44/volumes/a%20b", b""),
    ]
    assert len(engine.connections) == 1


def test_a_refusal_has_the_engines_explanation(api, engine):
    engine.answers["/v1.44/volumes/x"] = (409, json.dumps({"message": "volume is in use"}).encode())
    engine.answers["/v1.44/volumes/y"] = (500, b"")
    with pytest.raises(ApiError, match=r"^Docker: volume is in use$") as caught:
        api.delete("/volumes/x")
    assert caught.value.status == 409
    with pytest.raises(ApiError, match=r"^Docker: no explanation$"):
        api.delete("/volumes/y")


def test_a_stream_loses_no_byte_that_came_together_with_the_header(api, engine):
    connection, received = api.stream("/exec/1/start", {"Tty": False})
    with connection:
        connection.settimeout(10)
        connection.sendall(b"ping")
        while data := connection.recv(100):
            received += data
    assert received == b"firstping"


def test_a_stream_that_is_refused_has_the_engines_explanation(api, engine):
    engine.answers["/v1.44/exec/1/start"] = (409, json.dumps({"message": "container is paused"}).encode())
    with pytest.raises(ApiError, match=r"^Docker: container is paused$"):
        api.stream("/exec/1/start", {})


def test_an_archive_comes_in_pieces(api, engine):
    engine.answers["/v1.44/containers/x/archive?path=%2Fetc"] = (200, bytes(200_000))
    pieces = list(api.chunks("/containers/x/archive", path="/etc"))
    assert b"".join(pieces) == bytes(200_000)
    assert max(map(len, pieces)) <= 1 << 16


def test_an_archive_that_is_refused_has_the_engines_explanation(api, engine):
    engine.answers["/v1.44/containers/x/archive"] = (404, json.dumps({"message": "no such file"}).encode())
    with pytest.raises(ApiError, match=r"^Docker: no such file$"):
        list(api.chunks("/containers/x/archive"))


def test_threads_use_connections_of_their_own(api, engine):
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: api.get("/networks"), range(64))) == [[]] * 64
    assert len(engine.requests) == 64
    assert len(engine.connections) <= 8


def test_a_connection_that_the_engine_has_closed_is_replaced(api, engine):
    api.get("/networks")
    engine.connections[0].shutdown(2)
    assert api.get("/networks") == []


def test_no_engine_is_reported_with_the_path_of_its_socket(api, path):
    with pytest.raises(EnvironmentFailure, match=rf"^Docker: No such file or directory: {path}$"):
        api.get("/networks")


@pytest.mark.parametrize(
    ("environ", "socket"),
    [
        ({}, DEFAULT_SOCKET),
        ({"DOCKER_HOST": ""}, DEFAULT_SOCKET),
        ({"DOCKER_HOST": "unix:///x.sock", "DOCKER_CONTEXT": "rootless"}, "/x.sock"),
        ({"DOCKER_HOST": "tcp://10.0.0.1:2376"}, None),
        ({"DOCKER_HOST": "ssh://me@there"}, None),
        ({"DOCKER_CONTEXT": "rootless"}, "/run/user/1000/docker.sock"),
        ({"DOCKER_CONTEXT": "default"}, DEFAULT_SOCKET),
        ({"DOCKER_CONTEXT": "missing"}, None),
        ({"DOCKER_CONTEXT": "remote"}, None),
    ],
)
def test_the_socket_is_that_of_the_environment_or_of_the_context(tmp_path, environ, socket):
    hosts = {"rootless": "unix:///run/user/1000/docker.sock", "remote": "tcp://10.0.0.1:2376"}
    for name, host in hosts.items():
        folder = tmp_path / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": host}}}))
    assert local_socket({"DOCKER_CONFIG": str(tmp_path), **environ}) == socket


def test_the_current_context_is_in_the_configuration(tmp_path):
    assert local_socket({"DOCKER_CONFIG": str(tmp_path)}) == DEFAULT_SOCKET
    (tmp_path / "config.json").write_text('{"currentContext": "other"}')
    assert local_socket({"DOCKER_CONFIG": str(tmp_path)}) is None
    (tmp_path / "config.json").write_text("not JSON")
    assert local_socket({"DOCKER_CONFIG": str(tmp_path)}) == DEFAULT_SOCKET
