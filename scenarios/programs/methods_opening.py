"""How a connection is opened: run it with `server` on one host, then with `client` on the other.

Through a UDP socket, the bell, each of them notifies the other of its progress.
"""

import errno
import socket
import sys


def server():
    bell = socket.socket(type=socket.SOCK_DGRAM)
    bell.bind(("", 7040))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", 7041))
    print("bind: the address is", listener.getsockname())
    print("listening on 7040", flush=True)

    _, client = bell.recvfrom(16)  # the client was refused
    listener.listen()
    bell.sendto(b"again", client)
    print("listen: hears", bell.recv(16), "before it calls accept()")

    connection, address = listener.accept()
    print("accept: returns a connection from", address)
    print("getsockname:", connection.getsockname())
    print("getpeername:", connection.getpeername())
    connection.close()  # closes first, so that TIME_WAIT is here and the client's port is free again


def client():
    bell = socket.socket(type=socket.SOCK_DGRAM)
    bell.connect(("server", 7040))
    early = socket.socket()
    try:
        early.connect(("server", 7041))
    except OSError as error:
        print("bind: before listen(), connect() raises", type(error).__name__)
    bell.send(b"refused")
    bell.recv(16)

    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stream.bind(("", 7042))
    print("connect: returns", stream.connect(("server", 7041)))
    print("getsockname:", stream.getsockname())
    print("getpeername:", stream.getpeername())
    bell.send(b"connected")
    stream.recv(1)  # the end of the stream: the server has closed

    code = socket.socket().connect_ex(("server", 7049))  # nothing listens there
    print("connect_ex: returns", errno.errorcode[code])


{"server": server, "client": client}[sys.argv[1]]()
