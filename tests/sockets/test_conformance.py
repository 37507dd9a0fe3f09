"""The behaviour that all I/O models share, tested on each of them."""

import logging
import socket
import threading
import time

import pytest

from tests.sockets.io_models import (
    IO_MODELS,
    MANY_AT_ONCE,
    WAIT_TIMEOUT,
    Client,
    Server,
    Upper,
    nothing_left,
    wait_until,
)

every_io_model = pytest.mark.parametrize("io_model", IO_MODELS)
many_at_once = pytest.mark.parametrize("io_model", MANY_AT_ONCE)


@pytest.fixture(autouse=True)
def _leaves_nothing():
    with nothing_left():
        yield


@every_io_model
def test_chunks_are_answered_until_the_end_of_the_stream(io_model):
    with Server(io_model, Upper()) as server, server.client() as client:
        for text in (b"abc", b"x" * 60_000, b"d"):
            assert client.ask(text) == text.upper()


@every_io_model
def test_a_client_that_has_finished_sending_gets_its_answer(io_model):
    with Server(io_model, Upper()) as server, server.client() as client:
        client.send(b"abc")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b"ABC"


@every_io_model
def test_a_client_that_sends_nothing_and_closes_is_not_logged(io_model, caplog):
    with Server(io_model, Upper()) as server:
        server.client().socket.close()
        with server.client() as client:
            assert client.ask(b"next") == b"NEXT"
    assert not caplog.records


@every_io_model
def test_a_reset_ends_one_client_and_is_logged_once(io_model, caplog):
    with Server(io_model, Upper()) as server:
        client = server.client()
        assert client.ask(b"abc") == b"ABC"
        peer = "{}:{}".format(*client.socket.getsockname())
        client.reset()
        wait_until(lambda: caplog.records, "it is logged")
        with server.client() as client:
            assert client.ask(b"next") == b"NEXT"
    assert [record.getMessage() for record in caplog.records] == [f"{peer}: Connection reset by peer"]


@every_io_model
def test_a_silent_client_is_closed_and_logged_once(io_model, caplog):
    with Server(io_model, Upper(idle=1.0)) as server, server.client() as client:
        assert client.ask(b"abc") == b"ABC"
        assert client.rest() == b""  # the server closed it
        server.handler.idle = 60.0
        peer = "{}:{}".format(*client.socket.getsockname())
        client.socket.close()
        with server.client() as client:
            assert client.ask(b"next") == b"NEXT"
    assert [record.getMessage() for record in caplog.records][0] == f"{peer}: closed, silent for too long"


@every_io_model
def test_a_client_that_keeps_sending_does_not_time_out(io_model, caplog):
    with Server(io_model, Upper(idle=2.0)) as server, server.client() as client:
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            assert client.ask(b"abc") == b"ABC"
            threading.Event().wait(0.05)
    assert not caplog.records


@every_io_model
def test_a_client_that_disappears_during_its_answer_affects_no_other(io_model, caplog):
    with Server(io_model, Upper()) as server:
        client = server.client()
        client.send(b"much")
        assert client.recv(1000) == b"x" * 1000
        client.reset()
        with server.client() as client:
            assert client.ask(b"next") == b"NEXT"
    (record,) = caplog.records
    assert "reset by peer" in record.getMessage()


@every_io_model
def test_a_client_that_does_not_read_is_closed(io_model, caplog):
    with Server(io_model, Upper(sending=0.3)) as server, server.client() as client:
        client.send(b"much")
        wait_until(lambda: caplog.records, "the server gives up")
        with server.client() as other:
            assert other.ask(b"next") == b"NEXT"
    assert "closed" in caplog.records[0].getMessage()


@every_io_model
def test_a_long_answer_arrives_whole(io_model):
    with Server(io_model, Upper()) as server, server.client() as client:
        assert client.ask(b"much") == b"xxxx"
        assert client.recv(50_000_000 - 4) == b"x" * (50_000_000 - 4)
        assert client.ask(b"more") == b"MORE"


@every_io_model
def test_an_exception_in_a_handler_ends_one_client(io_model, caplog):
    with Server(io_model, Upper()) as server:
        with server.client() as client:
            client.send(b"boom")
            assert client.rest() == b""
        with server.client() as client:
            assert client.ask(b"next") == b"NEXT"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "a defect of the server" in record.getMessage()


@every_io_model
def test_the_last_answer_survives_unread_data(io_model):
    """A close with unread data sends RST, so that the peer would discard the answer."""
    with Server(io_model, Upper()) as server, server.client() as client:
        client.send(b"hold")
        assert server.handler.holding.wait(WAIT_TIMEOUT)
        client.send(b"unread " * 1000)
        server.stop.set()
        server.handler.go.set()
        assert client.recv(4) == b"HOLD"
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""


@every_io_model
def test_a_thousand_short_connections(io_model, caplog):
    with Server(io_model, Upper(), **({} if io_model == "blocking" else {"max_clients": 2000})) as server:
        for number in range(1000):
            client = server.client()
            if number % 3 == 0:
                client.reset()
            else:
                if number % 3 == 1:
                    client.send(b"abc")
                client.socket.close()
        with server.client() as client:
            assert client.ask(b"next") == b"NEXT"
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


@every_io_model
def test_an_idle_server_stops(io_model):
    with Server(io_model, Upper()) as server:
        with server.client() as client:  # an earlier client
            assert client.ask(b"abc") == b"ABC"
        server.stop.set()
        server.wait()
        with pytest.raises(ConnectionRefusedError):
            server.client()


@every_io_model
def test_a_server_stopped_before_it_starts_ends_at_once(io_model):
    server = Server(io_model, Upper())
    server.stop.set()
    with server:
        server.wait()


@every_io_model
def test_stopping_closes_a_client_between_requests_at_once(io_model):
    with Server(io_model, Upper()) as server, server.client() as client:
        assert client.ask(b"abc") == b"ABC"
        server.stop.set()
        assert client.rest() == b""
        client.socket.close()
        server.wait()


@every_io_model
def test_a_request_that_is_being_served_is_finished(io_model):
    with Server(io_model, Upper()) as server, server.client() as client:
        client.send(b"hold")
        assert server.handler.holding.wait(WAIT_TIMEOUT)
        server.stop.set()
        server.handler.go.set()
        assert client.rest() == b"HOLD"
        client.socket.close()
        server.wait()


@many_at_once
def test_a_request_that_does_not_finish_in_time_is_aborted(io_model, caplog):
    with Server(io_model, Upper(), grace=0.1) as server, server.client() as client:
        client.send(b"much")  # the answer is never read
        assert client.recv(1) == b"x"
        server.stop.set()
        server.wait()
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert len(client.rest()) == 50_000_000 - 1
    assert "cut off" in caplog.text


@many_at_once
def test_many_clients_are_served_concurrently(io_model):
    with Server(io_model, Upper()) as server:
        clients = [server.client() for _ in range(100)]
        for _ in range(2):
            for number, client in enumerate(clients):
                client.send(b"client %d" % number)
            for number, client in enumerate(clients):
                assert client.recv(len(b"client %d" % number)) == b"CLIENT %d" % number
        for client in clients:
            client.socket.close()


def test_the_iterative_server_serves_one_client_at_a_time():
    with Server("blocking", Upper()) as server, server.client() as first, server.client() as second:
        assert first.ask(b"abc") == b"ABC"
        second.send(b"def")
        second.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            second.recv(3)
        assert first.ask(b"ghi") == b"GHI"
        first.socket.close()
        second.socket.settimeout(WAIT_TIMEOUT)
        assert second.recv(3) == b"DEF"


@many_at_once
def test_one_client_too_many_gets_busy_within_a_second(io_model, caplog):
    with Server(io_model, Upper(), max_clients=2) as server, server.client() as one, server.client() as two:
        assert one.ask(b"a") == b"A"
        assert two.ask(b"b") == b"B"
        with Client(server.port, timeout=1.0) as third:
            third.send(b"unread, so a plain close would reset the connection")
            assert third.rest() == b"busy\n"
        one.socket.close()
        assert two.ask(b"c") == b"C"
        wait_until(lambda: _is_served(server), "the place of the first is free")
    assert "refused, too many clients" in caplog.text


def _is_served(server):
    with server.client() as client:
        return client.ask(b"hello") == b"HELLO"


@many_at_once
def test_every_client_beyond_the_limit_gets_busy(io_model):
    with Server(io_model, Upper(), max_clients=1) as server, server.client() as one:
        assert one.ask(b"a") == b"A"
        crowd = [server.client() for _ in range(300)]
        assert {client.rest() for client in crowd} == {b"busy\n"}
        assert one.ask(b"b") == b"B"
        for client in crowd:
            client.socket.close()


@many_at_once
def test_a_refused_client_that_floods_is_closed(io_model):
    with Server(io_model, Upper(), max_clients=1) as server, server.client() as one, server.client() as flood:
        assert one.ask(b"a") == b"A"
        with pytest.raises(ConnectionError):
            _pour(flood)


def _pour(client):
    while True:
        client.send(b"x" * 65_536)


@many_at_once
def test_a_client_that_sends_endlessly_does_not_starve_others(io_model):
    with Server(io_model, Upper()) as server, server.client() as flood:
        done = threading.Event()

        def drain():
            while flood.socket.recv(1 << 20):
                pass

        def pour():
            while not done.is_set():
                flood.send(b"x" * 65_536)
            flood.socket.shutdown(socket.SHUT_WR)

        threads = [threading.Thread(target=pour), threading.Thread(target=drain)]
        for thread in threads:
            thread.start()
        try:
            with server.client() as other:
                for _ in range(20):
                    assert other.ask(b"next") == b"NEXT"
        finally:
            done.set()
            for thread in threads:
                thread.join(WAIT_TIMEOUT)
