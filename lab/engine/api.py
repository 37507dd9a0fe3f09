"""Short requests of the Engine API: lists, and changes of single resources. Threads may use it together.

For an engine on a Unix socket it needs the standard library only: importing the Docker SDK takes as long as
stopping a small lab. An engine elsewhere is reached through the SDK.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from lab.errors import EnvironmentFailure

VERSION = "v1.44"  # of Engine 25; Engine 26 to 29 accept it
TIMEOUT = 30.0  # seconds for one request
LOST = (ConnectionError, http.client.RemoteDisconnected)


class ApiError(EnvironmentFailure):
    """The engine refused a request."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"Docker: {explanation}")
        self.status = status  # of HTTP


class Transport(Protocol):
    """Sends a request to the engine. Raises OSError or HTTPException if there is no answer."""

    def request(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]: ...
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

    def close(self) -> None:
        self._transport.close()

    def _request(
        self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None = None
    ) -> Any:
        target = f"/{VERSION}{quote(path)}"
        if query:
            target += "?" + urlencode({name: _word(value) for name, value in query.items()})
        content = None if body is None else json.dumps(body).encode()
        try:
            status, answer = self._transport.request(method, target, content)
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
        headers = {"Host": "docker"} | ({"Content-Type": "application/json"} if body is not None else {})
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        answer = response.read()
        self._idle.put(connection)
        return response.status, answer

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get().close()


class SdkTransport:
    """Requests through the session of the Docker SDK."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        url = f"{self._session.base_url}{target}"
        response = self._session.request(method, url, data=body, headers=headers, timeout=TIMEOUT)
        return response.status_code, response.content

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


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _explanation(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace").strip() or "no explanation"
