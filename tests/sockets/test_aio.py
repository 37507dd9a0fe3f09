"""The asyncio I/O model: its stream, and the cost of a thousand connections."""

import asyncio
import contextlib
import errno
import resource
import socket
import threading

import pytest

from lab.sockets import aio, blocking
from lab.sockets.deadline import Deadline
from tests.sockets.io_models import WAIT_TIMEOUT, Client, Server, Upper, nothing_left
from tests.sockets.test_blocking import full_backlog


@pytest.fixture(autouse=True)
def _leaves_nothing():
    with nothing_left():
        yield


def with_pair(scenario):
    """Runs ``scenario(stream, peer)`` on a connected pair."""

    async def run():
        with blocking.listen("127.0.0.1", 0) as listener, Client(listener.getsockname()[1]) as peer:
            async with asyncio.timeout(WAIT_TIMEOUT):
                stream = aio.Stream(listener.accept()[0])
                try:
                    await scenario(stream, peer)
                finally:
                    stream.abort()

    asyncio.run(run())


def test_recv_and_sendall():
    async def scenario(stream, peer):
        await stream.sendall(b"to the peer")
        assert peer.recv(11) == b"to the peer"
        peer.send(b"0123456789")
        assert await stream.recv(4) == b"0123"
        assert await stream.recv_request() == b"456789"
        peer.socket.shutdown(socket.SHUT_WR)
        assert await stream.recv() == b""
        assert stream.peer == "{}:{}".format(*peer.socket.getsockname())

    with_pair(scenario)


def test_every_wait_has_a_deadline():
    async def scenario(stream, _):
        for wait in (stream.recv, stream.recv_request):
            with pytest.raises(TimeoutError):
                await wait(10, Deadline(0.02))
            with pytest.raises(TimeoutError):
                await wait(10, Deadline(0))
        with pytest.raises(TimeoutError):
            await stream.sendall(b"x" * 50_000_000, Deadline(0.05))

    with_pair(scenario)


def test_deadlines_of_successive_waits_are_independent():
    async def scenario(stream, peer):
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, peer.send, b"a")
        assert await stream.recv(1, Deadline(WAIT_TIMEOUT)) == b"a"
        with pytest.raises(TimeoutError):
            await stream.recv(1, Deadline(0.05))
        loop.call_later(0.02, peer.send, b"b")
        assert await stream.recv(1, Deadline(0.3)) == b"b"
        loop.call_later(0.5, peer.send, b"c")  # the timer of the earlier wait expires meanwhile
        assert await stream.recv(1, Deadline(WAIT_TIMEOUT)) == b"c"
        loop.call_later(0.02, peer.send, b"d")
        assert await stream.recv(1) == b"d"

    with_pair(scenario)


def test_a_stop_ends_the_wait_for_a_request_and_no_other():
    async def scenario(stream, peer):
        request = asyncio.create_task(stream.recv_request(10, Deadline(WAIT_TIMEOUT)))
        await asyncio.sleep(0)
        stream.request_stop()
        assert await request == b""
        assert await stream.recv_request() == b""
        asyncio.get_running_loop().call_later(0.02, peer.send, b"rest")
        assert await stream.recv(10, Deadline(WAIT_TIMEOUT)) == b"rest"

    with_pair(scenario)


def test_close_loses_no_data_and_has_a_deadline():
    async def scenario(stream, peer):
        peer.send(b"unread" * 1000)
        await stream.sendall(b"the answer")
        await stream.close(0.05)
        assert peer.rest() == b"the answer"
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            await stream.recv()
        assert caught.value.errno == errno.EBADF

    with_pair(scenario)


def test_a_stream_is_closed_at_once_after_an_exception_in_its_block():
    async def scenario(stream, _):
        with pytest.raises(ZeroDivisionError):
            async with stream:
                raise ZeroDivisionError
        assert stream.socket.fileno() == -1

    with_pair(scenario)


def test_connect_reaches_a_server():
    with Server("async", Upper()) as server:

        async def run():
            async with await aio.connect("localhost", server.port) as stream:
                await stream.sendall(b"abc")
                assert await stream.recv(3, Deadline(WAIT_TIMEOUT)) == b"ABC"

        asyncio.run(run())


def test_connect_errors_name_the_address():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening
        port = unused.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as caught:
            asyncio.run(aio.connect("127.0.0.1", port))
    assert caught.value.filename == f"127.0.0.1:{port}"
    for host in ("no-such-host.invalid", "a" * 64, "a..b"):
        with pytest.raises(socket.gaierror):
            asyncio.run(aio.connect(host, 80))
    with full_backlog() as port, pytest.raises(TimeoutError):
        asyncio.run(aio.connect("127.0.0.1", port, 0.2))


def test_one_thread_keeps_a_thousand_connections_open():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    with Server("async", Upper(), max_clients=1000) as server, contextlib.ExitStack() as stack:
        threads = threading.active_count()
        clients = [stack.enter_context(server.client()) for _ in range(1000)]
        for _ in range(2):
            for number, client in enumerate(clients):
                client.send(b"client %04d" % number)
            for number, client in enumerate(clients):
                assert client.recv(11) == b"CLIENT %04d" % number
        assert threading.active_count() == threads
        with server.client() as one_more:
            assert one_more.rest() == b"busy\n"
