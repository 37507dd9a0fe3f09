"""A connection ends in three ways: run it with `server` on one host, then with `client` on the other."""

import os
import socket
import sys


def server():
    listener = socket.create_server(("", 7047))
    print("listening on 7047", flush=True)
    for method in "shutdown", "close", "detach":
        connection, _ = listener.accept()
        heard = b"".join(iter(lambda: connection.recv(1024), b""))  # noqa: B023
        print(f"{method}: receives {heard} and the end")
        if method == "shutdown":
            connection.send(b"an answer")
        connection.close()


def client():
    stream = socket.create_connection(("server", 7047))
    stream.send(b"that was all")
    stream.shutdown(socket.SHUT_WR)
    print("shutdown: still receives", stream.recv(16))
    stream.recv(1)  # the end of the stream

    stream = socket.create_connection(("server", 7047))
    stream.close()
    try:
        stream.send(b"more")
    except OSError as error:
        print("close: send() then raises", error)

    stream = socket.create_connection(("server", 7047))
    descriptor = stream.detach()
    print("detach: fileno() is then", stream.fileno())
    os.write(descriptor, b"through the descriptor")
    os.close(descriptor)


{"server": server, "client": client}[sys.argv[1]]()
