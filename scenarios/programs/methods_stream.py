"""Bytes in a stream: run it with `server` on one host, then with `client` on the other.

After each step the client waits for one byte from the server.
"""

import hashlib
import socket
import sys
import tempfile

SIZE = 1 << 20
BULK = 64 << 20


def server():
    listener = socket.create_server(("", 7043))
    print("listening on 7043", flush=True)
    connection, _ = listener.accept()
    print("recv: recv(4) gives", connection.recv(4), "and recv(1024) the rest,", connection.recv(1024))
    connection.send(b".")

    buffer = bytearray(8)
    print("recv_into: returns", connection.recv_into(buffer), "and fills the buffer:", bytes(buffer))
    connection.send(b".")

    file = connection.makefile("rb")
    print("makefile: readline() gives", file.readline(), "and", file.readline())
    connection.send(b".")

    taken = int(file.readline())
    bulk, _ = listener.accept()
    received = sum(map(len, iter(lambda: bulk.recv(65536), b"")))
    print("send: receives", "as many as send() returned" if received == taken else f"{received} of {taken}")
    connection.send(b".")

    for method in "sendall", "sendfile":
        print(f"{method}: receives", summary(file.read(SIZE)))
        connection.send(b".")


def client():
    stream = socket.create_connection(("server", 7043))
    stream.send(b"ten bytes!")
    stream.recv(1)
    stream.send(b"hello")
    stream.recv(1)
    stream.send(b"one li")
    stream.send(b"ne\nanother\n")
    stream.recv(1)

    bulk = socket.create_connection(("server", 7043))  # the server doesn't read it yet
    bulk.setblocking(False)
    taken = bulk.send(bytes(BULK))
    bulk.close()
    print("send: without blocking takes", "a part of" if 0 < taken < BULK else taken, BULK, "bytes")
    stream.send(b"%d\n" % taken)
    stream.recv(1)

    data = bytes(range(256)) * (SIZE // 256)
    print("sendall: returns", stream.sendall(data), "for", summary(data))
    stream.recv(1)

    with tempfile.TemporaryFile() as file:
        file.write(data[::-1])
        print("sendfile: returns", stream.sendfile(file), "for", summary(data[::-1]))
    stream.recv(1)


def summary(data):
    return f"{len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()[:8]}…"


{"server": server, "client": client}[sys.argv[1]]()
