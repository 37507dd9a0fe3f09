"""Messages and descriptors between two processes."""

import os
import threading

import pytest

from lab.sockets.process_channel import Channel
from tests.sockets.io_models import WAIT_TIMEOUT, nothing_left


@pytest.fixture
def pair():
    with nothing_left():
        ours, theirs = Channel.pair()
        yield ours, theirs
        ours.close()
        theirs.close()


def test_messages_arrive_whole_and_in_order(pair):
    ours, theirs = pair
    ours.send(b"one")
    ours.send(b"x" * 100_000)
    assert theirs.recv() == (b"one", [])
    assert theirs.recv() == (b"x" * 100_000, [])


def test_a_descriptor_arrives_and_is_not_inherited_by_child_processes(pair):
    ours, theirs = pair
    reader, writer = os.pipe()
    ours.send(b"a pipe", [writer])
    os.close(writer)
    message, (received,) = theirs.recv()
    os.write(received, b"text")
    assert (message, os.read(reader, 10), os.get_inheritable(received)) == (b"a pipe", b"text", False)
    os.close(received)
    os.close(reader)


def test_closing_one_end_ends_the_other(pair):
    ours, theirs = pair
    ours.close()
    assert theirs.recv() == (b"", [])
    with pytest.raises(BrokenPipeError):
        theirs.send(b"late")


def test_a_shutdown_wakes_its_own_reader(pair):
    ours, _ = pair
    received = []
    thread = threading.Thread(target=lambda: received.append(ours.recv()))
    thread.start()
    ours.shutdown()
    thread.join(WAIT_TIMEOUT)
    assert not thread.is_alive()
