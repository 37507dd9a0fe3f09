"""Load for an echo server: a single file that runs on a host and needs only the standard library.

Keeps connections open, each with one message in flight, and verifies every answer. The messages are upper
case, so that the mode "upper" and a plain echo give the same answer.

    python3 load.py HOST PORT CONNECTIONS MESSAGES
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

SIZE = 64  # bytes of a message
TIMEOUT = 20.0  # seconds without any answer


class Client:
    """One connection that sends its messages one after the other."""

    def __init__(self, address: tuple[str, int], number: int, messages: int) -> None:
        self.socket = socket.create_connection(address, TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message = f"MESSAGE OF CLIENT {number} ".ljust(SIZE, ".").encode()
        self._answer = b""
        self._left = messages
        self.answered = 0

    def send(self) -> None:
        self.socket.sendall(self._message)

    def receive(self) -> bool:
        """Receives once; sends the next message if the answer is complete. True after the last answer."""
        part = self.socket.recv(SIZE)
        if part == self._message and not self._answer:
            return self._next()
        self._answer += part
        if not part or not self._message.startswith(self._answer):
            raise ConnectionError(f"the server answered {self._answer!r}")
        if len(self._answer) < SIZE:
            return False
        self._answer = b""
        return self._next()

    def _next(self) -> bool:
        self.answered += 1
        self._left -= 1
        if self._left:
            self.send()
        return not self._left


def main() -> None:
    host, port, connections, messages = sys.argv[1], *map(int, sys.argv[2:])
    started = time.monotonic()
    clients = [Client((host, port), number, messages) for number in range(connections)]
    opened = time.monotonic()
    drive({client.socket.fileno(): client for client in clients})
    ended = time.monotonic()
    for client in clients:
        client.socket.close()
    answered = sum(client.answered for client in clients)
    print(json.dumps({"answered": answered, "opening": opened - started, "seconds": ended - opened}))


def drive(clients: dict[int, Client]) -> None:
    """Serves all clients until each has its last answer. No connection is closed before that."""
    poll = select.epoll()
    for number, client in clients.items():
        poll.register(number, select.EPOLLIN)
        client.send()
    left = len(clients)
    while left:
        ready = poll.poll(TIMEOUT)
        if not ready:
            raise TimeoutError(f"no answer for {TIMEOUT:g} s; {left} clients are not finished")
        left -= sum(clients[number].receive() for number, _ in ready)


if __name__ == "__main__":
    main()
