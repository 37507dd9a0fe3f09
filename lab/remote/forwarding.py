"""Carries TCP connections from a local socket through SSH to a port of a host."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import paramiko

from lab.errors import EnvironmentFailure
from lab.remote.ssh import Connection, ConnectionFailed

CHUNK = 1 << 16


class HostPort:
    """A port of a host. The SSH connection is made again if it broke."""

    def __init__(self, dial: Callable[[], Connection], addresses: Sequence[str], port: int) -> None:
        """``addresses`` are those of the host at which the service may listen, the likeliest first."""
        self._dial = dial
        self._addresses = list(addresses)
        self._port = port
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def prepare(self) -> Connection:
        """The SSH connection. Raises EnvironmentFailure."""
        with self._lock:
            if self._connection is None or not self._connection.alive:
                self._connection = self._dial()
            return self._connection

    def connect(self) -> paramiko.Channel:
        """Connects to the first address that accepts. Raises EnvironmentFailure, with the first error."""
        connection = self.prepare()
        errors: list[ConnectionFailed] = []
        for address in self._addresses:
            try:
                channel = connection.forward(address, self._port)
            except ConnectionFailed as error:
                errors.append(error)
            else:
                # a new list: other threads go through the old one
                self._addresses = sorted(self._addresses, key=lambda each: each != address)
                return channel
        raise errors[0]

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()


class Forwarder:
    """Accepts connections on ``listener`` and carries them to ``target``, each in two threads."""

    def __init__(
        self, listener: socket.socket, target: HostPort, on_failure: Callable[[EnvironmentFailure], object]
    ) -> None:
        """``on_failure`` is called for each connection that can't be carried."""
        self._listener = listener
        self._target = target
        self._on_failure = on_failure
        threading.Thread(target=self._accept, daemon=True, name="accept").start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True, name="forward").start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                channel = self._target.connect()
            except EnvironmentFailure as error:
                self._on_failure(error)
                return
            with channel:
                carry(client, channel)


def carry(client: socket.socket, channel: paramiko.Channel) -> None:
    """Copies both directions until both have ended. The end of one direction is passed on by itself."""
    back = threading.Thread(target=_to_client, args=(channel, client), daemon=True, name="forward back")
    back.start()
    try:
        while data := client.recv(CHUNK):
            channel.sendall(data)
        channel.shutdown_write()
    except OSError:  # one of the two is gone: the other direction has no purpose any more
        channel.close()
    back.join()


def _to_client(channel: paramiko.Channel, client: socket.socket) -> None:
    try:
        while data := channel.recv(CHUNK):
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR if channel.closed else socket.SHUT_WR)
    except OSError:
        channel.close()
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
