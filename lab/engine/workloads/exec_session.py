"""A command in a container, with the interface of lab.remote.ssh.Session."""

from __future__ import annotations

import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

from lab.engine.client import client_of, sdk_call
from lab.engine.http.container import Container
from lab.engine.http.exec_stream import close_upgraded, upgraded
from lab.engine.workloads.kill import kill_exec
from lab.engine.workloads.model import HEADER, STREAMS, exit_signal
from lab.errors import EnvironmentFailure
from lab.remote.terminal import Terminal

CHUNK = 1 << 16
EXIT_TIMEOUT = 5.0  # seconds from the end of the output until the engine has the exit code
# The engine writes its own error to stdout if it can't start the command.
REFUSED = b"OCI runtime exec failed: "
REFUSED_CODES = (126, 127)


class ExecSession:
    """A command that runs in a container: its streams, its exit, and signals to it."""

    def __init__(
        self,
        container: Container,
        argv: Sequence[str],
        helper_image: str,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        directory: str | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        """``helper_image`` is an image with Python, from which ``send_signal`` starts a container.

        ``environment`` is added to that of the container; ``directory`` replaces its working directory. With
        a terminal all output is stdout. Raises EnvironmentFailure.
        """
        self._container = container
        self._api: Any = client_of(container).api
        self._helper_image = helper_image
        has_terminal = terminal is not None
        created = sdk_call(
            self._api.exec_create,
            container.id,
            list(argv),
            stdin=True,
            stdout=True,
            stderr=True,
            tty=has_terminal,
            environment=dict(environment) | ({"TERM": terminal.kind} if terminal else {}),
            workdir=directory,
        )
        self.id: str = created["Id"]
        self._raw = sdk_call(_start, self._api, self.id, terminal)
        self._socket, received = upgraded(self._raw)
        self._frames = _Unframed(received) if has_terminal else _Frames(received)
        self._input: SimpleQueue[bytes | None] = SimpleQueue()
        self._code: int | None = None
        self._first = True
        self.refused = ""  # why the engine couldn't start the command
        threading.Thread(target=self._write, daemon=True, name=f"stdin {container.name}").start()

    def pump(self, on_output: Callable[[str, bytes], Any], deadline: float | None) -> bool:
        """Passes on ("stdout" | "stderr", bytes) as they come, until the command has exited.

        ``deadline`` is a time.monotonic() value. Returns False if it passed first.
        """
        while True:
            for stream, data in self._frames:
                on_output(self._relabelled(stream, data), data)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                return False
            if not (data := self._socket.recv(CHUNK)):
                self._code = self._exit()
                return True
            self._frames.feed(data)

    @property
    def exit_code(self) -> int | None:
        """None if a signal ended the command, or if it still runs."""
        return None if self.exit_signal else self._code

    @property
    def exit_signal(self) -> str | None:
        """The name of the signal that ended the command, without SIG. See ``exit_signal`` of model.py."""
        number = exit_signal(self._code or 0)
        return signal.Signals(number).name.removeprefix("SIG") if number else None

    def send(self, data: bytes) -> None:
        """Writes to its standard input; returns at once."""
        self._input.put(data)

    def feed(self, data: bytes) -> None:
        """Sends input, for a thread of its own: waits for as long as the command doesn't read it."""
        self._socket.sendall(data)

    def resize(self, columns: int, rows: int) -> None:
        """Changes the size of the command's terminal; does nothing if the command has exited."""
        with suppress(EnvironmentFailure):
            sdk_call(self._api.exec_resize, self.id, height=rows, width=columns)

    def close_stdin(self) -> None:
        self._input.put(None)

    def send_signal(self, name: str) -> None:
        """Sends the signal to the command and all processes that it started. Raises EnvironmentFailure."""
        about = sdk_call(self._api.exec_inspect, self.id)
        if about["Running"] and about["Pid"]:
            kill_exec(self._container, int(about["Pid"]), f"SIG{name}", self._helper_image)

    def close(self) -> None:
        self._input.put(None)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        close_upgraded(self._raw)

    def _write(self) -> None:
        """Writes the input in a thread: the command may not read it before its own output has been read."""
        with suppress(OSError, ValueError):  # the command has exited, or this was closed
            while (data := self._input.get()) is not None:
                self._socket.sendall(data)
            self._socket.shutdown(socket.SHUT_WR)

    def _relabelled(self, stream: str, data: bytes) -> str:
        """The stream of a piece of output; the engine's refusal to start the command is an error."""
        first, self._first = self._first, False
        if first and data.startswith(REFUSED):
            self.refused = data.decode(errors="backslashreplace").strip()
        return "stderr" if self.refused else stream

    def _exit(self) -> int | None:
        """The exit code. The engine reports it shortly after the end of the output."""
        until = time.monotonic() + EXIT_TIMEOUT
        while (about := sdk_call(self._api.exec_inspect, self.id))["Running"] and time.monotonic() < until:
            time.sleep(0.01)  # between two checks
        code = about["ExitCode"]
        if code not in REFUSED_CODES:
            self.refused = ""
        return None if code is None else int(code)


def _start(api: Any, execution: str, terminal: Terminal | None) -> Any:
    """Starts the command. The SDK can't give a terminal its size at the start."""
    if terminal is None:
        return api.exec_start(execution, socket=True)
    data = {"Tty": True, "Detach": False, "ConsoleSize": [terminal.rows, terminal.columns]}
    headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
    url = api._url("/exec/{0}/start", execution)
    return api._get_raw_response_socket(api._post_json(url, headers=headers, data=data, stream=True))


class _Frames:
    """Splits the engine's byte stream into the pieces of stdout and stderr that arrived so far."""

    def __init__(self, received: bytes) -> None:
        self._received = bytearray(received)

    def feed(self, data: bytes) -> None:
        self._received += data

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        while len(self._received) >= HEADER.size:
            stream, length = HEADER.unpack_from(self._received)
            end = HEADER.size + length
            if len(self._received) < end:
                return
            data = bytes(self._received[HEADER.size : end])
            del self._received[:end]
            yield STREAMS.get(stream, "stderr"), data


class _Unframed(_Frames):
    """The bytes of a terminal that arrived so far: the engine doesn't frame them."""

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        if self._received:
            data = bytes(self._received)
            self._received.clear()
            yield "stdout", data
