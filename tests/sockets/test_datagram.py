"""UDP sockets, connected and unconnected: whole, empty, too long and invalid datagrams."""

import contextlib
import errno
import socket
import threading

import pytest

from lab.sockets import datagram
from lab.sockets.address import plain_host
from lab.sockets.datagram import Datagrams
from lab.sockets.deadline import Deadline
from lab.sockets.stop import Stop
from tests.sockets.io_models import WAIT_TIMEOUT, nothing_left


@pytest.fixture(autouse=True)
def _leaves_nothing():
    with nothing_left():
        yield


@contextlib.contextmanager
def serving(handle, host="127.0.0.1"):
    """Runs a server in a thread; yields its port."""
    with contextlib.closing(Stop()) as stop:
        sock = datagram.listen(host, 0)
        port = sock.getsockname()[1]
        thread = threading.Thread(target=datagram.serve, args=(sock, handle, stop))
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            thread.join(WAIT_TIMEOUT)
            assert not thread.is_alive()


def echo(data, sender):
    return data


def upper(data, sender):
    if data == b"boom":
        raise RuntimeError("a defect, made on purpose")
    if data == b"too long":
        return b"x" * 65_508
    return None if data == b"silent" else data.upper()


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 65_507])
def test_a_datagram_of_any_size_comes_back_whole(size, connected):
    with serving(echo) as port, Datagrams("127.0.0.1", port, connected=connected) as link:
        payload = bytes(range(256)) * 256
        link.send(payload[:size])
        assert link.recv(Deadline(WAIT_TIMEOUT)) == payload[:size]


@pytest.mark.parametrize("connected", [False, True])
def test_a_datagram_over_the_limit_is_refused_locally(connected):
    with Datagrams("127.0.0.1", 9, connected=connected) as link:
        with pytest.raises(OSError, match="too long") as caught:
            link.send(b"x" * 65_508)
        assert caught.value.errno == errno.EMSGSIZE


def test_a_bad_datagram_does_not_stop_the_server(caplog):
    with serving(upper) as port, Datagrams("127.0.0.1", port) as link:
        for data in (b"boom", b"too long", b"silent", b"abc"):
            link.send(data)
        assert link.recv(Deadline(WAIT_TIMEOUT)) == b"ABC"
    first, second = (record.getMessage() for record in caplog.records)
    assert "a defect of the server" in first
    assert "Message too long" in second


def test_the_wildcard_covers_both_families_and_shows_plain_ipv4():
    senders = []
    with serving(lambda data, sender: senders.append(sender) or data, host="") as port:
        for host in ("127.0.0.1", "::1"):
            with Datagrams(host, port) as link:
                link.send(b"x")
                assert link.recv(Deadline(WAIT_TIMEOUT)) == b"x"
    assert [plain_host(sender) for sender in senders] == ["127.0.0.1", "::1"]


def test_the_senders_port_can_be_chosen():
    senders = []
    with serving(lambda data, sender: senders.append(sender[1]) or data) as port:
        with Datagrams("127.0.0.1", port) as free:
            chosen = free.local_port
        with Datagrams("127.0.0.1", port, local_port=chosen) as link:
            link.send(b"x")
            assert link.recv(Deadline(WAIT_TIMEOUT)) == b"x"
    assert senders == [chosen]


def test_a_taken_port_is_named():
    with Datagrams("127.0.0.1", 9) as link:
        with pytest.raises(OSError, match="in use") as caught:
            Datagrams("127.0.0.1", 9, local_port=link.local_port)
        assert caught.value.filename == f"*:{link.local_port}"
    with contextlib.closing(datagram.listen("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            datagram.listen("127.0.0.1", port)
        assert caught.value.filename == f"127.0.0.1:{port}"


@contextlib.contextmanager
def nobody():
    """A port that is taken but not served: its socket is connected, so it receives from one peer only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(("127.0.0.1", 9))
        yield sock.getsockname()[1]


def test_an_unconnected_socket_gets_no_port_unreachable():
    with nobody() as port, Datagrams("127.0.0.1", port) as link:
        for _ in range(3):
            link.send(b"x")
        with pytest.raises(TimeoutError):
            link.recv(Deadline(0.1))


def test_a_connected_socket_gets_connection_refused_later():
    with nobody() as port, Datagrams("127.0.0.1", port, connected=True) as link:
        link.send(b"the first is sent")
        with pytest.raises(ConnectionRefusedError):
            link.recv(Deadline(WAIT_TIMEOUT))


@pytest.mark.parametrize("connected", [False, True])
def test_a_connected_socket_ignores_third_parties(connected):
    with serving(echo) as port, Datagrams("127.0.0.1", port, connected=connected) as link:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"from a stranger", ("127.0.0.1", link.local_port))
        link.send(b"abc")
        assert link.recv(Deadline(WAIT_TIMEOUT)) == b"abc"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64, "a..b"])
def test_an_invalid_host_name_is_an_oserror(host):
    with pytest.raises(socket.gaierror):
        Datagrams(host, 9)
    with pytest.raises(socket.gaierror):
        datagram.listen(host, 0)
