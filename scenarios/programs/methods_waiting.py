"""Waiting, or not: run it with `server` on one host, then with `client` on the other.

The client stays silent until the server asks it to speak.
"""

import errno
import select
import socket
import sys
import time


def server():
    listener = socket.create_server(("", 7046))
    listener.settimeout(10)
    print("listening on 7046", flush=True)
    connection, _ = listener.accept()
    print(
        "gettimeout:", listener.gettimeout(), "for the listener,", connection.gettimeout(), "for the accepted"
    )

    connection.settimeout(0.3)
    began = time.monotonic()
    try:
        connection.recv(16)
    except TimeoutError as error:
        waited = time.monotonic() - began
        print(
            "settimeout: recv() raises",
            type(error).__name__,
            "after",
            0.3 if 0.3 <= waited < 1.3 else waited,
            "s",
        )

    connection.setblocking(False)
    try:
        connection.recv(16)
    except BlockingIOError as error:
        print("setblocking: recv() raises", type(error).__name__, "where nothing has come")

    connection.send(b"speak")
    readable, _, _ = select.select([connection.fileno()], [], [])
    named = "names it" if readable == [connection.fileno()] else f"names {readable}"
    print("fileno: select()", named, "when this has come:", connection.recv(16))


def client():
    stream = socket.create_connection(("server", 7046))
    stream.recv(16)
    stream.send(b"here I am")
    stream.recv(1)  # the end
    stream.close()
    print("fileno: of a closed socket it is", stream.fileno())

    attempt = socket.socket()
    attempt.setblocking(False)
    code = attempt.connect_ex(("server", 7049))  # nothing listens there
    select.select([], [attempt], [])
    error = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    print(
        "getsockopt: SO_ERROR is",
        errno.errorcode[error],
        "after connect_ex() returned",
        errno.errorcode[code],
    )


{"server": server, "client": client}[sys.argv[1]]()
