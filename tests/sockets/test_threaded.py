"""The threaded I/O model: its threads, and its behaviour when descriptors or threads run out."""

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.sockets.io_models import (
    MANY_AT_ONCE,
    WAIT_TIMEOUT,
    Client,
    Server,
    Upper,
    nothing_left,
    wait_until,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("io_model", MANY_AT_ONCE)
def test_a_server_survives_a_shortage_of_descriptors(io_model):
    command = [sys.executable, "-m", "tests.sockets.starved_server", io_model]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline())
            with contextlib.ExitStack() as stack:
                crowd = [stack.enter_context(Client(port)) for _ in range(60)]
                assert server.stdout.readline() == "can't accept for now: Too many open files\n"
                assert crowd[0].ask(b"still served") == b"STILL SERVED"
            with Client(port) as client:
                assert client.ask(b"abc") == b"ABC"
        finally:
            server.terminate()
            output = server.stdout.read()
        assert server.wait(WAIT_TIMEOUT) == 0
        assert "can't accept" not in output  # logged once, not ten times a second


def test_a_failed_thread_start_ends_one_client(monkeypatch, caplog):
    """The error is simulated, because reaching the system's limit would disturb other processes."""
    start = threading.Thread.start
    refused = []

    def refuse_once(thread):
        if thread.name.startswith("127.0.0.1") and not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    with nothing_left(), Server("threaded", Upper()) as server:
        monkeypatch.setattr(threading.Thread, "start", refuse_once)
        with pytest.raises(ConnectionResetError):
            visit(server)
        with server.client() as client:
            assert client.ask(b"next") == b"NEXT"
    assert "can't start a thread" in caplog.text


def visit(server):
    with server.client() as client:
        client.recv(1)


def test_each_client_has_a_thread_that_ends_with_it():
    with nothing_left(), Server("threaded", Upper()) as server:
        before = threading.active_count()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(20)]
            for client in clients:
                assert client.ask(b"abc") == b"ABC"
            assert threading.active_count() == before + 20
        wait_until(lambda: threading.active_count() == before, "the threads end")


def test_an_endless_handler_does_not_block_stopping(caplog):
    """Its client is aborted and the server returns. The daemon thread ends with the process."""
    handler = Upper()
    with nothing_left(), Server("threaded", handler, grace=0.05) as server, server.client() as client:
        client.send(b"hold")
        assert handler.holding.wait(WAIT_TIMEOUT)
        server.stop.set()
        server.wait()
        assert client.rest() == b""
        handler.go.set()
    assert "cut off" in caplog.text
