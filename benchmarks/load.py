"""Load for an echo server, sent to a host as it is: standard library only.

Holds connections open, each with one message under way, and verifies every answer. The messages are in
capitals, so that "upper" and plain echo servers answer alike.

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
    """One connection: its messages, one after the other."""

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
        """Takes what has come, and sends the next message where there is one. True: that was the last."""
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
    """All of them, until each has its last answer; none closes before."""
    poll = select.epoll()
    for number, client in clients.items():
        poll.register(number, select.EPOLLIN)
        client.send()
    left = len(clients)
    while left:
        ready = poll.poll(TIMEOUT)
        if not ready:
            raise TimeoutError(f"{left} clients had no answer for {TIMEOUT:g} s")
        left -= sum(clients[number].receive() for number, _ in ready)


if __name__ == "__main__":
    main()
