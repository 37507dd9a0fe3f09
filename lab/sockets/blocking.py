"""Blocking TCP: a connected stream with deadlines, and the iterative server (one client at a time)."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias

from lab.protocols.errors import ProtocolError

logger = logging.getLogger(__name__)

IDLE_TIMEOUT = 60.0  # seconds that a peer may be silent between requests
HEADER_TIMEOUT = 10.0  # seconds from the first byte of a header to its last
VANISHED_TIMEOUT = 30.0  # seconds after which a peer that answers nothing is given up
CONNECT_TIMEOUT = 10.0
BACKLOG = 1024

# Of the servers that take many clients at once:
MAX_CLIENTS = 512
GRACE = 10.0  # seconds that clients get to finish after a request to stop
BUSY = b"busy\n"
BUSY_LINGER = 0.5  # seconds from telling a client "busy" to closing it


class Deadline:
    """A moment by which something must be done. ``None`` seconds: never.

    An absolute moment, so that a peer who trickles can't stretch it.
    """

    def __init__(self, seconds: float | None) -> None:
        self.at = None if seconds is None else time.monotonic() + seconds  # on the monotonic clock

    def remaining(self) -> float | None:
        """Seconds left. Raises TimeoutError when there are none."""
        if self.at is None:
            return None
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


NEVER = Deadline(None)


class Stop:
    """A request to stop, which may come from a signal handler or another thread.

    Selectors can wait for it: once set it stays readable, for any number of waiters. Ask ``is_set`` when it
    is readable: a signal makes it so a moment before Python's handler runs.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._set = False
        self._wakes_on_signals = False

    def set(self) -> None:
        """Asks to stop. More than once is the same as once."""
        self._set = True
        with contextlib.suppress(OSError):  # full: it has been said often enough
            self._writer.send(b"!")

    def wake_on_signals(self) -> None:
        """Makes every signal that has a Python handler wake who waits; call it in the main thread.

        Without that, a signal between Python's last look at its flags and the system call that waits is
        seen only when that call returns.
        """
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._wakes_on_signals = True

    def is_set(self) -> bool:
        return self._set

    def fileno(self) -> int:
        return self._reader.fileno()

    def close(self) -> None:
        if self._wakes_on_signals:
            signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


def plain_host(address: Address) -> str:
    """The host of ``address`` as people know it: an IPv4 peer of a dual-stack socket as IPv4."""
    host = address[0]
    return host.removeprefix("::ffff:") if "." in host else host


def format_address(address: Address) -> str:
    """``host:port`` as people write it, IPv6 in brackets."""
    host = plain_host(address)
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


@contextlib.contextmanager
def naming(host: str, port: int) -> Iterator[None]:
    """Within this context an OSError says which address it is about, in its ``filename``."""
    where = format_address((host or "*", port))
    try:
        yield
    except UnicodeError:  # what Python makes of a label that is empty or longer than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "not a host name", where) from None
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, error.strerror, where) from None
    except OSError as error:
        number = error.errno or errno.ETIMEDOUT  # Python's own TimeoutError has no number
        raise OSError(number, os.strerror(number), where) from None


# Without a descriptor of its own, as epoll would need; Windows has no poll.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Stream:
    """A connected TCP socket. Every wait has a deadline; a write is whole or an error; never a SIGPIPE."""

    def __init__(self, sock: socket.socket, stop: Stop | None = None) -> None:
        self.socket = sock
        address = sock.getpeername()
        self.peer, self.peer_host = format_address(address), plain_host(address)
        self.local = format_address(sock.getsockname())
        self._stop = stop
        self._selector: selectors.BaseSelector | None = None
        tune(sock)

    def recv(self, limit: int = 65_536, deadline: Deadline = NEVER) -> bytes:
        """What has arrived, at most ``limit`` bytes; b"" is the end of the stream.

        Raises TimeoutError at the deadline, ConnectionError where the peer reset.
        """
        self.socket.settimeout(deadline.remaining())
        return self.socket.recv(limit)

    def recv_into(self, buffer: memoryview, deadline: Deadline = NEVER) -> int:
        """As recv, into ``buffer``; 0 is the end of the stream."""
        self.socket.settimeout(deadline.remaining())
        return self.socket.recv_into(buffer)

    def recv_exactly(self, count: int, deadline: Deadline = NEVER) -> bytes:
        """``count`` bytes, or fewer only where the stream ended before."""
        parts = bytearray()
        while len(parts) < count:
            part = self.recv(min(count - len(parts), 1 << 20), deadline)
            if not part:
                break
            parts += part
        return bytes(parts)

    def recv_request(self, limit: int = 65_536, deadline: Deadline | None = None) -> bytes:
        """The first bytes of the peer's next request; b"" also where the server is to stop.

        Between requests is where a server may close without losing anything. The deadline is
        IDLE_TIMEOUT unless told.
        """
        deadline = deadline or Deadline(IDLE_TIMEOUT)
        if self._stop is not None and not self._request_comes(self._stop, deadline):
            return b""
        return self.recv(limit, deadline)

    def _request_comes(self, stop: Stop, deadline: Deadline) -> bool:
        """Waits until the stream is readable (True) or the server is to stop (False)."""
        if self._selector is None:
            self._selector = _Selector()
            self._selector.register(self.socket, selectors.EVENT_READ)
            self._selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            ready = self._selector.select(deadline.remaining())
            if any(key.fileobj is self.socket for key, _ in ready):
                return not stop.is_set()
        return False

    def sendall(self, data: bytes | bytearray | memoryview, deadline: Deadline = NEVER) -> None:
        """Hands all of ``data`` to the kernel. Raises TimeoutError, ConnectionError."""
        self.socket.settimeout(deadline.remaining())
        self.socket.sendall(data)

    def send_some(self, data: bytes | bytearray | memoryview) -> int:
        """Hands over what the kernel takes at once, for who must not wait; 0 where its buffer is full."""
        self.socket.settimeout(0)
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    def fileno(self) -> int:
        """For poll and selectors."""
        return self.socket.fileno()

    def sendfile(self, file: BinaryIO, offset: int, count: int, deadline: Deadline = NEVER) -> int:
        """Sends up to ``count`` bytes of ``file`` from ``offset``; fewer only where the file is shorter."""
        self.socket.settimeout(deadline.remaining())
        return self.socket.sendfile(file, offset, count)

    def readable(self) -> bool:
        """Whether recv would return, or raise, at once: for who sends much and may be interrupted."""
        with _Selector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            return bool(selector.select(0))

    def silence(self) -> float:
        """Seconds since data last came from the peer, by the kernel's account (TCP_INFO in tcp(7))."""
        if not hasattr(socket, "TCP_INFO"):  # Linux; elsewhere nothing is known
            return 0.0
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        (milliseconds,) = struct.unpack_from("I", info, 52)  # tcpi_last_data_recv
        return float(milliseconds) / 1000

    def finish_sending(self) -> None:
        """Says that no more will be sent (FIN); receiving goes on."""
        with contextlib.suppress(OSError):  # the peer may be gone already
            self.socket.shutdown(socket.SHUT_WR)

    def shut(self) -> None:
        """From another thread: ends both directions, which wakes whoever waits for this stream."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self, linger: float = 1.0) -> None:
        """Closes in the order that loses nothing: FIN, what the peer still sends is read and dropped
        (for ``linger`` seconds at the most), close. A close with unread data would send RST, and the peer
        could lose the answer.
        """
        self.finish_sending()
        deadline = Deadline(linger)
        with contextlib.suppress(OSError):  # TimeoutError too
            while self.recv(65_536, deadline):
                pass
        self.socket.close()

    def abort(self) -> None:
        """Closes at once with RST: what is under way is lost, and the peer is told so."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.socket.close()


def tune(sock: socket.socket) -> None:
    """No Nagle delay; a peer that vanished is noticed within VANISHED_TIMEOUT, idle or not (tcp(7))."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux; elsewhere the system's own values stand
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED_TIMEOUT * 1000))


def connect(host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> Stream:
    """A stream to ``host``, over the first of its addresses that answers.

    Raises OSError: socket.gaierror, ConnectionRefusedError, TimeoutError, or what the last address gave.
    """
    with naming(host, port):
        sock = socket.create_connection((host, port), timeout)
        try:
            return Stream(sock)
        except OSError:  # the peer reset it meanwhile
            sock.close()
            raise


def listen(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """A listening socket. ``host`` "" is every address, IPv4 and IPv6 alike. Raises OSError.

    SO_REUSEADDR is set (create_server), so that a restart doesn't wait for TIME_WAIT to pass.
    """
    with naming(host, port):
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog
            )
        family = socket.AF_INET
        if host:
            family, _, _, _, _ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family, backlog=backlog)


Handle: TypeAlias = Callable[[Stream], None]


def accept(listener: socket.socket, stop: Stop) -> Iterator[Stream]:
    """Clients as they come, until ``stop``. A shortage of descriptors is waited out, not died of."""
    listener.setblocking(False)
    short = False
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            selector.register(listener, selectors.EVENT_READ)
            selector.select()
            selector.unregister(listener)
            if stop.is_set():
                return
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                continue  # the client went away before it was accepted
            except OSError as error:
                if not short:
                    logger.error("can't accept for now: %s", os.strerror(error.errno or 0))
                short = True
                selector.select(0.1)  # without the listener, which stays readable: don't spin on it
                continue
            short = False
            try:
                stream = Stream(connection, stop)
            except OSError:  # reset already
                connection.close()
                continue
            yield stream


def serve(listener: socket.socket, handle: Handle, stop: Stop) -> None:
    """Serves one client after the other until ``stop``; the request being served is finished first.

    While one is served, the others wait in the backlog: what an iterative server is.
    """
    with listener:
        for stream in accept(listener, stop):
            converse(stream, handle)


def converse(stream: Stream, handle: Handle) -> None:
    """One client, from accept to close. Whatever goes wrong is logged once and ends only this client."""
    try:
        handle(stream)
    except TimeoutError:
        logger.warning("%s: closed, silent for too long", stream.peer)
    except OSError as error:
        logger.warning("%s: %s", stream.peer, error.strerror or error)
    except ProtocolError as error:
        logger.warning("%s: %s", stream.peer, error)
    except Exception:
        logger.exception("%s: a defect of the server", stream.peer)
    finally:
        stream.close()
