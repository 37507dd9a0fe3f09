"""Requests of the Engine API: short ones, archives, and the streams of commands. Threads may use it together.

For an engine on a Unix socket it needs the standard library only: importing the Docker SDK takes as long as
stopping a small lab. An engine elsewhere is reached through the SDK.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from lab.errors import EnvironmentFailure

VERSION = "v1.44"  # of Engine 25; Engine 26 to 29 accept it
TIMEOUT = 30.0  # seconds for one request
CHUNK = 1 << 16
HOST = {"Host": "docker"}
JSON = {"Content-Type": "application/json"}
UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
LOST = (ConnectionError, http.client.RemoteDisconnected)


class ApiError(EnvironmentFailure):
    """The engine refused a request."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"Docker: {explanation}")
        self.status = status  # of HTTP


class Transport(Protocol):
    """Sends a request to the engine. Raises OSError or HTTPException if there is no answer."""

    def request(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]: ...
    def chunks(self, target: str) -> Iterator[bytes]: ...
    def stream(self, target: str, body: bytes) -> tuple[Any, bytes]: ...
    def close(self) -> None: ...


class EngineApi:
    """The requests. Each raises ApiError if the engine refuses it, EnvironmentFailure if none answers."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, path: str, **query: Any) -> Any:
        return self._request("GET", path, query)

    def post(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        return self._request("POST", path, query, body)

    def delete(self, path: str, **query: Any) -> Any:
        return self._request("DELETE", path, query)

    def chunks(self, path: str, /, **query: Any) -> Generator[bytes, None, None]:
        """The answer to a GET, piece by piece."""
        try:
            yield from self._transport.chunks(_target(path, query))
        except (OSError, http.client.HTTPException) as error:
            raise EnvironmentFailure(f"Docker: {reason(error)}") from error

    def stream(self, path: str, body: Mapping[str, Any]) -> tuple[Any, bytes]:
        """A POST after which the connection is a byte stream in both directions.

        Returns the socket, or the object of the Docker SDK that has it, and the bytes that were received
        together with the HTTP header.
        """
        try:
            return self._transport.stream(_target(path, {}), json.dumps(body).encode())
        except (OSError, http.client.HTTPException) as error:
            raise EnvironmentFailure(f"Docker: {reason(error)}") from error

    def close(self) -> None:
        self._transport.close()

    def _request(
        self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None = None
    ) -> Any:
        content = None if body is None else json.dumps(body).encode()
        try:
            status, answer = self._transport.request(method, _target(path, query), content)
        except (OSError, http.client.HTTPException) as error:
            raise EnvironmentFailure(f"Docker: {reason(error)}") from error
        if status >= 400:
            raise ApiError(status, _explanation(answer))
        return json.loads(answer) if answer.startswith((b"{", b"[", b"null")) else answer.decode()


class SocketTransport:
    """Requests to an engine on a Unix socket, over connections that are kept open."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: SimpleQueue[_UnixConnection] = SimpleQueue()

    def request(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        while True:
            try:
                connection, reused = self._idle.get_nowait(), True
            except Empty:
                connection, reused = _UnixConnection(self._path), False
            try:
                return self._over(connection, method, target, body)
            except LOST:
                connection.close()
                if not reused:  # the engine was restarted since the last request: the next one may be fresh
                    raise
            except BaseException:
                connection.close()
                raise

    def _over(
        self, connection: _UnixConnection, method: str, target: str, body: bytes | None
    ) -> tuple[int, bytes]:
        headers = HOST | JSON if body is not None else HOST
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        answer = response.read()
        self._idle.put(connection)
        return response.status, answer

    def chunks(self, target: str) -> Iterator[bytes]:
        with closing(_UnixConnection(self._path)) as connection:
            connection.request("GET", target, headers=HOST)
            response = connection.getresponse()
            if response.status >= 400:
                raise ApiError(response.status, _explanation(response.read()))
            while data := response.read(CHUNK):
                yield data

    def stream(self, target: str, body: bytes) -> tuple[socket.socket, bytes]:
        connection = _UnixConnection(self._path)
        try:
            connection.request("POST", target, body, HOST | JSON | UPGRADE)
            response = connection.getresponse()
            if response.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise ApiError(response.status, _explanation(response.read()))
            return connection.sock, buffered(connection.sock, response.fp)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get().close()


class SdkTransport:
    """Requests through the session of the Docker SDK."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        headers = JSON if body is not None else {}
        url = f"{self._session.base_url}{target}"
        response = self._session.request(method, url, data=body, headers=headers, timeout=TIMEOUT)
        return response.status_code, response.content

    def chunks(self, target: str) -> Iterator[bytes]:
        url = f"{self._session.base_url}{target}"
        with closing(self._session.get(url, stream=True, timeout=TIMEOUT)) as response:
            if response.status_code >= 400:
                raise ApiError(response.status_code, _explanation(response.content))
            yield from response.iter_content(CHUNK)

    def stream(self, target: str, body: bytes) -> tuple[Any, bytes]:
        url = f"{self._session.base_url}{target}"
        response = self._session.post(url, data=body, headers=JSON | UPGRADE, stream=True, timeout=TIMEOUT)
        if response.status_code >= 400:
            raise ApiError(response.status_code, _explanation(response.content))
        return self._session._get_raw_response_socket(response), b""

    def close(self) -> None:
        pass  # the session belongs to the SDK's client


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError as error:
            self.sock.close()
            error.filename = self._path
            raise


def filters(label: str, **others: str) -> dict[str, list[str]]:
    """The filters of a list: resources with this label, which is a name, or name=value."""
    return {"label": [label], **{name: [value] for name, value in others.items()}}


def reason(error: BaseException) -> str:
    """The first line of an error's text."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0]


def buffered(connection: socket.socket, reader: io.BufferedReader) -> bytes:
    """The bytes that ``reader`` has read from the connection already. Doesn't wait."""
    connection.setblocking(False)  # peek() on an empty buffer would wait for more
    try:
        return reader.peek()
    finally:
        connection.setblocking(True)


def _target(path: str, query: Mapping[str, Any]) -> str:
    target = f"/{VERSION}{quote(path)}"
    if query:
        target += "?" + urlencode({name: _word(value) for name, value in query.items()})
    return target


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _explanation(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace").strip() or "no explanation"
