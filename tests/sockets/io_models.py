"""Shared by the tests of the I/O models: a server in a thread, and a client that sends raw bytes."""

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from lab.sockets import aio, blocking, threaded
from lab.sockets.deadline import Deadline
from lab.sockets.stop import Stop

IO_MODELS = ("blocking", "threaded", "async")
MANY_AT_ONCE = ("threaded", "async")
WAIT_TIMEOUT = 30.0  # seconds; ample even under load


@dataclass
class Upper:
    """Returns each chunk in upper case. ``hold`` first waits for ``go``; ``boom`` raises an exception."""

    idle: float = 60.0
    sending: float = 60.0
    holding: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def blocking(self, stream):
        while chunk := stream.recv_request(deadline=Deadline(self.idle)):
            if chunk == b"hold":
                self.holding.set()
                self.go.wait(WAIT_TIMEOUT)
            stream.sendall(answer(chunk), Deadline(self.sending))

    threaded = blocking

    async def aio(self, stream):
        while chunk := await stream.recv_request(deadline=Deadline(self.idle)):
            if chunk == b"hold":
                self.holding.set()
                while not self.go.is_set():
                    await asyncio.sleep(0.01)
            await stream.sendall(answer(chunk), Deadline(self.sending))


def answer(chunk):
    if chunk == b"boom":
        raise RuntimeError("a defect, made on purpose")
    if chunk == b"much":
        return b"x" * 50_000_000
    return chunk.upper()


class Server:
    """An I/O model that serves in a thread of this process."""

    def __init__(self, io_model, handler, **options):
        self.stop = Stop()
        self.listener = blocking.listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.handler = handler
        self._thread = threading.Thread(target=self._run, args=(io_model, options), name=f"server {io_model}")
        self._error = None

    def _run(self, io_model, options):
        handle = getattr(self.handler, "aio" if io_model == "async" else io_model)
        try:
            if io_model == "blocking":
                blocking.serve(self.listener, handle, self.stop)
            elif io_model == "threaded":
                threaded.serve(self.listener, handle, self.stop, **options)
            else:
                asyncio.run(aio.serve(self.listener, handle, self.stop, **options))
        except BaseException as error:
            self._error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.handler.go.set()
        self.stop.set()
        self.wait()
        self.stop.close()

    def wait(self):
        """Waits until the server has stopped."""
        self._thread.join(WAIT_TIMEOUT)
        assert not self._thread.is_alive(), "the server doesn't stop"
        if self._error is not None:
            raise self._error

    def client(self):
        return Client(self.port)


class Client:
    """A client that sends and receives raw bytes."""

    def __init__(self, port, timeout=WAIT_TIMEOUT):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def recv(self, count):
        """``count`` bytes, or fewer at the end of the stream."""
        data = b""
        while len(data) < count and (chunk := self.socket.recv(count - len(data))):
            data += chunk
        return data

    def rest(self):
        """All bytes up to the end of the stream."""
        return self.recv(1 << 30)

    def ask(self, data):
        self.send(data)
        return self.recv(len(data))

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def wait_until(condition, what):
    """Polls for a state that causes no event."""
    until = time.monotonic() + WAIT_TIMEOUT
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.005)


@contextlib.contextmanager
def nothing_left():
    """Asserts that the block leaves no thread and no descriptor open."""
    threads, before = threading.active_count(), descriptors()
    yield
    wait_until(lambda: threading.active_count() <= threads, "the threads end")
    wait_until(lambda: descriptors() <= before, "the descriptors are closed")
