"""Streams, deadlines, addresses, and the request to stop."""

import contextlib
import errno
import select
import signal
import socket
import threading
import time

import pytest

from lab.sockets import blocking
from lab.sockets.address import format_address
from lab.sockets.blocking import Stream
from lab.sockets.deadline import Deadline
from lab.sockets.stop import Stop
from tests.sockets.io_models import WAIT_TIMEOUT, Client, nothing_left, wait_until


@pytest.fixture(autouse=True)
def _leaves_nothing():
    with nothing_left():
        yield


@pytest.fixture
def stop():
    with contextlib.closing(Stop()) as stop:
        yield stop


@pytest.fixture
def pair(stop):
    """A stream of a server with a stop request, and its peer."""
    with blocking.listen("127.0.0.1", 0) as listener, Client(listener.getsockname()[1]) as peer:
        with Stream(listener.accept()[0], stop) as stream:
            yield stream, peer
            peer.socket.close()


def test_a_deadline_is_absolute():
    deadline = Deadline(WAIT_TIMEOUT)
    assert 0 < deadline.remaining() <= WAIT_TIMEOUT
    assert Deadline(None).remaining() is None
    with pytest.raises(TimeoutError):
        Deadline(0).remaining()


def test_recv_and_sendall(pair):
    stream, peer = pair
    stream.sendall(b"to the peer")
    assert peer.recv(11) == b"to the peer"
    peer.send(b"0123456789")
    assert stream.recv_exactly(4) == b"0123"
    buffer = bytearray(3)
    assert stream.recv_into(memoryview(buffer)) == 3
    assert buffer == b"456"
    peer.socket.shutdown(socket.SHUT_WR)
    assert stream.recv_exactly(10) == b"789"
    assert stream.recv() == b""


def test_the_peer_is_named(pair):
    stream, peer = pair
    assert stream.peer == "{}:{}".format(*peer.socket.getsockname())
    assert stream.local == "{}:{}".format(*peer.socket.getpeername())


@pytest.mark.parametrize("method", ["recv", "recv_request", "recv_exactly", "recv_into"])
def test_every_recv_has_a_deadline(pair, method):
    stream, _ = pair
    first = {"recv": 10, "recv_request": 10, "recv_exactly": 10, "recv_into": memoryview(bytearray(10))}[
        method
    ]
    with pytest.raises(TimeoutError):
        getattr(stream, method)(first, Deadline(0.05))


def test_a_slow_peer_cannot_extend_a_deadline(pair):
    stream, peer = pair
    done = threading.Event()

    def trickle():
        while not done.wait(0.02):
            peer.send(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            stream.recv_exactly(100_000, Deadline(0.3))
    finally:
        done.set()
        thread.join(WAIT_TIMEOUT)


def test_sendall_has_a_deadline_if_the_peer_does_not_read(pair):
    stream, _ = pair
    with pytest.raises(TimeoutError):
        stream.sendall(b"x" * 50_000_000, Deadline(0.1))


def test_sendfile_sends_a_part_of_a_file(pair, tmp_path):
    stream, peer = pair
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        assert stream.sendfile(file, 2, 5, Deadline(WAIT_TIMEOUT)) == 5
        assert stream.sendfile(file, 8, 5, Deadline(WAIT_TIMEOUT)) == 2
    assert peer.recv(7) == b"2345689"


@contextlib.contextmanager
def slow_reader(peer, interval=0.02):
    """The peer reads a few bytes from time to time, so that the connection never stalls completely."""
    done = threading.Event()

    def read():
        while not done.wait(interval):
            peer.recv(4096)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(WAIT_TIMEOUT)


@pytest.fixture
def large_file(tmp_path):
    with open(tmp_path / "large", "w+b") as file:
        file.truncate(1 << 30)
        yield file


def test_a_slow_reader_cannot_extend_the_deadline_of_sendfile(stop, large_file):
    with slow_pair(stop) as (stream, peer), slow_reader(peer):
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            stream.sendfile(large_file, 0, 1 << 30, Deadline(0.5), stall=0.4)
        assert time.monotonic() - begun < WAIT_TIMEOUT / 2


def test_sendfile_times_out_if_the_peer_reads_nothing(pair, large_file):
    stream, _ = pair
    with pytest.raises(TimeoutError):
        stream.sendfile(large_file, 0, 1 << 30, Deadline(WAIT_TIMEOUT), stall=0.1)


@contextlib.contextmanager
def slow_pair(stop):
    """Like ``pair``, with small buffers, so that the stream becomes writable after a few bytes are read."""
    with blocking.listen("127.0.0.1", 0) as listener, socket.socket() as sock:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(WAIT_TIMEOUT)
        sock.connect(listener.getsockname())
        with Stream(listener.accept()[0], stop) as stream:
            yield stream, sock
            sock.close()


def test_close_waits_until_the_peer_has_read_everything(pair):
    stream, peer = pair
    peer.send(b"unread" * 1000)
    stream.sendall(b"the answer")
    thread = threading.Thread(target=stream.close, args=(WAIT_TIMEOUT,))
    thread.start()
    assert peer.rest() == b"the answer"
    assert thread.is_alive()
    peer.socket.close()
    thread.join(WAIT_TIMEOUT)
    assert stream.socket.fileno() == -1


def test_close_has_a_deadline(pair):
    stream, _ = pair
    stream.close(linger=0.05)
    assert stream.socket.fileno() == -1
    stream.close()  # a second close has no effect


def test_abort_resets_the_connection(pair):
    stream, peer = pair
    stream.abort()
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_a_stream_is_closed_at_once_after_an_exception_in_its_block(stop):
    with blocking.listen("127.0.0.1", 0) as listener, Client(listener.getsockname()[1]):
        stream = Stream(listener.accept()[0])
        with pytest.raises(ZeroDivisionError), stream:
            raise ZeroDivisionError
        assert stream.socket.fileno() == -1


def test_a_vanished_peer_is_detected_within_30_seconds(pair):
    """Checks the socket options only; the scenarios check the effect by unplugging a cable."""
    sock = pair[0].socket
    tcp = socket.IPPROTO_TCP
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    probes = sock.getsockopt(tcp, socket.TCP_KEEPCNT) * sock.getsockopt(tcp, socket.TCP_KEEPINTVL)
    assert sock.getsockopt(tcp, socket.TCP_KEEPIDLE) + probes <= 30
    assert sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == 30_000
    assert sock.getsockopt(tcp, socket.TCP_NODELAY)


# ----------------------------------------------------------- the request to stop


def test_a_stop_wakes_every_waiting_thread(stop):
    assert not stop.is_set()
    assert select.select([stop], [], [], 0)[0] == []
    for _ in range(100_000):  # far more than the buffer holds
        stop.set()
    assert stop.is_set()
    for _ in range(3):
        assert select.select([stop], [], [], 0)[0] == [stop]


def test_a_stop_ends_a_stream_between_requests(pair, stop):
    stream, _ = pair
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    assert stream.recv_request(10, Deadline(WAIT_TIMEOUT)) == b""
    timer.join()
    assert stream.recv_request(10, Deadline(WAIT_TIMEOUT)) == b""


def test_a_partly_received_request_is_read_completely(pair, stop):
    stream, peer = pair
    peer.send(b"first half, ")
    assert stream.recv_request(12) == b"first half, "
    stop.set()
    timer = threading.Timer(0.05, peer.send, [b"second half"])
    timer.start()
    assert stream.recv_exactly(11, Deadline(WAIT_TIMEOUT)) == b"second half"
    timer.join()


@pytest.fixture
def alarm(stop):
    """SIGALRM, with a handler that sets ``stop``."""
    previous = signal.signal(signal.SIGALRM, lambda *_: stop.set())
    stop.wake_on_signals()
    yield signal.SIGALRM
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


def test_a_signal_to_another_thread_ends_the_wait(pair, alarm):
    """Another thread gets the signal. Python runs the handler in the main thread, after its system call."""
    deadline = Deadline(WAIT_TIMEOUT)
    thread = threading.Timer(0.05, lambda: signal.pthread_kill(threading.get_ident(), alarm))
    thread.start()
    assert pair[0].recv_request(10, deadline) == b""
    assert deadline.remaining()  # else the wait ended by timeout
    thread.join()


def test_no_signal_is_missed_at_any_step(pair, stop, alarm):
    """A signal between any two steps of recv_request ends this wait or the next one."""
    for attempt in range(500):
        rewind(stop)
        deadline = Deadline(WAIT_TIMEOUT)
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + attempt * 1e-7)
        assert pair[0].recv_request(10, deadline) == b""
        assert deadline.remaining()
        wait_until(stop.is_set, "the handler has run")


def rewind(stop):
    """Clears the stop request, to use the same stream again."""
    stop._set = False
    stop._reader.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while stop._reader.recv(4096):
            pass


# ----------------------------------------------------------- connect and listen


def test_the_wildcard_address_covers_both_families():
    with blocking.listen("", 0) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), WAIT_TIMEOUT) as client:
                stream = Stream(listener.accept()[0])
                assert stream.peer == format_address(client.getsockname())
                client.close()
                stream.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_server_on_one_host_is_reachable_there(host):
    with blocking.listen(host, 0) as listener:
        with blocking.connect(host, listener.getsockname()[1], WAIT_TIMEOUT) as stream:
            listener.accept()[0].close()
            assert stream.recv() == b""


def test_a_taken_port_is_named():
    with blocking.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            blocking.listen("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE
    assert caught.value.filename == f"127.0.0.1:{port}"


def test_a_port_can_be_reused_despite_time_wait():
    with blocking.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with Client(port) as client:
            listener.accept()[0].close()  # the server closes first: TIME_WAIT is on its side
            assert client.rest() == b""
    blocking.listen("127.0.0.1", port).close()


def test_a_refused_connection_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening
        port = unused.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as caught:
            blocking.connect("127.0.0.1", port)
    assert caught.value.filename == f"127.0.0.1:{port}"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "a..b"])
@pytest.mark.parametrize("io_model", [blocking.connect, blocking.listen])
def test_an_invalid_host_name_is_an_oserror(host, io_model):
    with pytest.raises(socket.gaierror) as caught:
        io_model(host, 80)
    assert caught.value.filename == f"{host}:80"


def test_an_unanswered_connect_times_out():
    with full_backlog() as port, pytest.raises(TimeoutError) as caught:
        blocking.connect("127.0.0.1", port, 0.2)
    assert caught.value.errno == errno.ETIMEDOUT
    assert caught.value.filename == f"127.0.0.1:{port}"


@contextlib.contextmanager
def full_backlog():
    """A listener with a full queue that never accepts, so that a further SYN gets no answer."""
    with blocking.listen("127.0.0.1", 0, backlog=0) as listener, contextlib.ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        wait_until(lambda: not can_connect(address), "the backlog is full")
        yield address[1]


def can_connect(address):
    with socket.socket() as sock:
        sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            sock.connect(address)
            return True
        return False
