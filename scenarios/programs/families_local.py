"""Sockets within one host: run it with `server`, then with `neighbour` on the same host and on another."""

import errno
import os
import socket
import sys

STREAM, PACKETS = "/tmp/families-stream", "/tmp/families-packets"


def server():
    stream = listening(socket.SOCK_STREAM, STREAM)
    packets = listening(socket.SOCK_SEQPACKET, PACKETS)
    print(f"listening on {STREAM} and {PACKETS}", flush=True)
    connection, _ = stream.accept()
    print("AF_UNIX: receives", connection.recv(1024))
    connection, _ = packets.accept()
    received = [connection.recv(1024) for _ in range(3)]
    print("SOCK_SEQPACKET: with AF_UNIX, three recv() give", *received)


def listening(kind, path):
    if os.path.exists(path):
        os.unlink(path)  # close() leaves the file, and bind() must create it
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(path)
    listener.listen()
    return listener


def neighbour():
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.connect(STREAM)
    except OSError as error:
        sys.exit(print("AF_UNIX: connect() raises", type(error).__name__))
    stream.send(b"by a path")
    packets = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    packets.connect(PACKETS)
    packets.send(b"one")
    packets.send(b"two")
    try:
        socket.socket(socket.AF_UNIX, socket.SOCK_RDM)
    except OSError as error:
        print("SOCK_RDM: with AF_UNIX gives", errno.errorcode[error.errno])


{"server": server, "neighbour": neighbour}[sys.argv[1]]()
