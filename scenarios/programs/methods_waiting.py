"""Blocking and non-blocking calls: run it with `server` on one host, then with `client` on the other.

The client sends nothing until the server asks for a message.
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
    timeouts = listener.gettimeout(), connection.gettimeout()
    print("gettimeout: {} for the listener, {} for the accepted socket".format(*timeouts))

    connection.settimeout(0.3)
    began = time.monotonic()
    try:
        connection.recv(16)
    except TimeoutError as error:
        waited = time.monotonic() - began
        about = "about 0.3 s" if 0.3 <= waited < 3 else f"{waited} s"  # longer on a busy machine
        print("settimeout: recv() raises", type(error).__name__, "after", about)

    connection.setblocking(False)
    try:
        connection.recv(16)
    except BlockingIOError as error:
        print("setblocking: recv() raises", type(error).__name__, "if nothing has arrived")

    connection.send(b"speak")
    readable, _, _ = select.select([connection.fileno()], [], [])
    named = "names it" if readable == [connection.fileno()] else f"names {readable}"
    print("fileno: select()", named, "when this has arrived:", connection.recv(16))


def client():
    stream = socket.create_connection(("server", 7046))
    stream.recv(16)
    stream.send(b"here I am")
    stream.recv(1)  # the end of the stream
    stream.close()
    print("fileno: of a closed socket it is", stream.fileno())

    attempt = socket.socket()
    attempt.setblocking(False)
    code = attempt.connect_ex(("server", 7049))  # nothing listens there
    select.select([], [attempt], [])
    error = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    tried, failed = errno.errorcode[code], errno.errorcode[error]
    print(f"getsockopt: SO_ERROR is {failed} after connect_ex() returned {tried}")


{"server": server, "client": client}[sys.argv[1]]()
