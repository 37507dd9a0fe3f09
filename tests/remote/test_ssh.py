"""The connection itself: what it does when its carrier breaks, and who it lets answer."""

import socket
import threading
import time

import paramiko
import pytest

from lab.errors import EnvironmentFailure
from lab.remote.ssh import Connection, Identity


@pytest.fixture
def identity():
    return Identity("lab", paramiko.RSAKey.generate(2048), (paramiko.RSAKey.generate(2048),))


def test_a_broken_carrier_is_reported_and_closed(identity):
    here, there = socket.socketpair()
    there.close()
    with pytest.raises(EnvironmentFailure, match="kali: no SSH"):
        Connection("kali", here, identity)
    assert here.fileno() == -1


def test_another_host_key_than_the_known_one_is_refused(identity):
    here, there = socket.socketpair()
    with paramiko.Transport(there) as server:
        server.add_server_key(paramiko.RSAKey.generate(2048))
        server.start_server(threading.Event(), paramiko.ServerInterface())
        with pytest.raises(EnvironmentFailure, match="its host key isn't the one in known_hosts"):
            Connection("kali", here, identity)
    assert here.fileno() == -1


@pytest.mark.lab
def test_a_connection_that_broke_leaves_no_socket_open(shared_lab):
    connection = shared_lab.client.connect()
    carrier = connection._transport.sock
    shared_lab.client.run("kill -9 $(ps -o ppid= -p $$)")  # the sshd of this very connection
    until = time.monotonic() + 10
    while connection.alive:
        assert time.monotonic() < until, "the connection outlived its sshd"
        time.sleep(0.01)
    shared_lab.client.disconnect()
    assert carrier._socket.fileno() == -1
    assert shared_lab.client.run("echo back").stdout == "back\n"


def test_a_host_missing_from_known_hosts_is_reported():
    with pytest.raises(EnvironmentFailure, match="known_hosts has no key for it"):
        Identity.of("kali", "", "# nobody\n")
