"""The kernel's view of our own sockets: states, addresses, queues."""

import socket
import time

import pytest

from lab.sockets.netlink import sockdiag
from lab.sockets.netlink.sockdiag import STATES, TCP, UDP, SockDiag, changing, identity, parse

WAIT = 10.0


@pytest.fixture
def diag():
    with SockDiag() as found:
        yield found


def sockets(diag, protocol, family=socket.AF_INET):
    return [parse(protocol, raw) for raw in diag.dump(protocol, family)]


def states(diag, port, family=socket.AF_INET):
    found = [s for s in sockets(diag, TCP, family) if port in (s.local[1], s.remote[1])]
    return sorted(STATES[s.state] for s in found)


def wait_for(true):
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_states_of_a_connection_from_listen_to_time_wait(diag):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert states(diag, port) == ["LISTEN"]
        client = socket.create_connection(("127.0.0.1", port))
        server, _ = listener.accept()
        wait_for(lambda: states(diag, port) == ["ESTABLISHED", "ESTABLISHED", "LISTEN"])
        client.close()
        wait_for(lambda: states(diag, port) == ["CLOSE_WAIT", "FIN_WAIT2", "LISTEN"])
        server.close()
        wait_for(lambda: states(diag, port) == ["LISTEN", "TIME_WAIT"])


def test_an_unanswered_syn_is_shown_as_syn_sent(diag):
    """A full backlog drops further SYNs, so the client stays in SYN_SENT."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        wait_for(lambda: "SYN_SENT" in states(diag, listener.getsockname()[1]))
        (listening,) = [s for s in sockets(diag, TCP) if s.local == listener.getsockname() and s.state == 10]
        assert (listening.receive_queue, listening.send_queue) == (1, 0)
        for client in waiting:
            client.close()


def test_queues_count_unread_bytes(diag):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            server, _ = listener.accept()
            client.sendall(b"x" * 1000)

            def queue():
                return [s.receive_queue for s in sockets(diag, TCP) if s.remote == client.getsockname()]

            wait_for(lambda: queue() == [1000])
            client.shutdown(socket.SHUT_WR)  # a FIN doesn't count as a byte
            wait_for(lambda: "CLOSE_WAIT" in states(diag, listener.getsockname()[1]))
            assert queue() == [1000]
            server.close()


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["ipv4", "ipv6"]
)
def test_a_udp_socket_and_its_owner(diag, family, host):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        (found,) = [s for s in sockets(diag, UDP, family) if s.local[1] == sock.getsockname()[1]]
        assert found.local == sock.getsockname()[:2]
        assert found.remote[1] == 0
        assert found.inode > 0


def test_an_ipv4_peer_of_a_dual_stack_server_is_ipv4(diag):
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client:
            server, _ = listener.accept()
            with server:
                peer = client.getsockname()
                found = [s for s in sockets(diag, TCP, socket.AF_INET6) if s.remote == peer]
                assert [s.local for s in found] == [("127.0.0.1", listener.getsockname()[1])]


def raws(diag, local, remote=("0.0.0.0", 0)):
    found = [(parse(TCP, raw), raw) for raw in diag.dump(TCP, socket.AF_INET)]
    return [raw for sample, raw in found if (sample.local, sample.remote) == (local, remote)]


def test_a_socket_keeps_its_identity_into_time_wait(diag):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        ends = client.getsockname(), listener.getsockname()
        (before,) = raws(diag, *ends)
        client.close()
        server.close()
        wait_for(lambda: [raw[1] for raw in raws(diag, *ends)] == [6])
        (after,) = raws(diag, *ends)
    assert identity(TCP, before) == identity(TCP, after)
    assert changing(before) != changing(after)


def test_two_listeners_on_one_port_are_distinguished(diag):
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        two.bind(one.getsockname())
        one.listen()
        two.listen()
        assert len({identity(TCP, raw) for raw in raws(diag, one.getsockname())}) == 2


def test_many_sockets_are_reported_completely(diag):
    listeners = [
        socket.create_server(("127.0.0.1", 0)) for _ in range(500)
    ]  # the usual limit is 1,024 descriptors
    ports = {listener.getsockname()[1] for listener in listeners}
    found = {s.local[1] for s in sockets(diag, TCP) if STATES[s.state] == "LISTEN"}
    for listener in listeners:
        listener.close()
    assert ports <= found


def test_a_request_that_the_kernel_refuses_is_an_error(diag):
    with pytest.raises(OSError, match="sock_diag"):
        list(diag.dump(TCP, 250))
    assert sockdiag.ALL_STATES
