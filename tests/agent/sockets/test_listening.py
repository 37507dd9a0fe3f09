"""The listening sockets of a node, as its agent finds them."""

import os
import socket

import pytest

from tests.agent.rig import LocalAgent


@pytest.fixture
def agent():
    with LocalAgent() as started:
        yield started


def inode_of(opened):
    return os.fstat(opened.fileno()).st_ino


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_tcp_socket_counts_while_it_listens(agent, family):
    with socket.socket(family) as opened:
        opened.bind(("", 0))
        assert inode_of(opened) not in agent.ok("listening")["inodes"]
        opened.listen()
        assert inode_of(opened) in agent.ok("listening")["inodes"]
    assert inode_of_closed(agent) == set()


def inode_of_closed(agent):
    with socket.create_server(("", 0)) as opened:
        inode = inode_of(opened)
    return {inode} & set(agent.ok("listening")["inodes"])


def test_a_udp_socket_counts_if_its_port_was_chosen(agent):
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", free_port()))
        client.sendto(b"x", ("127.0.0.1", 9))
        found = agent.ok("listening")["inodes"]
        assert (inode_of(server) in found, inode_of(client) in found) == (True, False)


def free_port():
    for port in range(20_000, 30_000):
        with socket.socket(type=socket.SOCK_DGRAM) as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
