"""Sockets that reach another host: run it with `server` on one, then with `client` on the other."""

import errno
import socket
import sys


def server():
    listeners = {
        "AF_INET": socket.create_server(("", 7050), family=socket.AF_INET),
        "AF_INET6": socket.create_server(("", 7051), family=socket.AF_INET6, dualstack_ipv6=True),
    }
    stream = socket.create_server(("", 7052))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", 7053))
    print("listening on 7050 to 7053", flush=True)

    for name in "AF_INET", "AF_INET6", "AF_INET6":
        connection, address = listeners[name].accept()
        connection.send(b"hello")
        print(f"{name}: accepts", address[0])
    connection, _ = stream.accept()
    print("SOCK_STREAM: one recv() gives", connection.recv(4, socket.MSG_WAITALL))
    received = sorted(datagrams.recv(1024) for _ in range(2))  # UDP promises no order
    print("SOCK_DGRAM: two recv() give", *received)


def client():
    for name, port in ("AF_INET", 7050), ("AF_INET6", 7051):
        for family in socket.AF_INET, socket.AF_INET6:
            print(f"{name}: a client of {family.name} gets", heard(family, port))
    sender = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sender.connect(("server", 7052))
    print("SOCK_STREAM: two send() of", sender.send(b"ab"), "and", sender.send(b"cd"), "bytes")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("server", 7053))
    print("SOCK_DGRAM: two send() of", sender.send(b"ab"), "and", sender.send(b"cd"), "bytes")
    for kind in socket.SOCK_RAW, socket.SOCK_RDM, socket.SOCK_SEQPACKET:
        print(f"{kind.name}: with AF_INET gives", opened(kind))


def heard(family, port):
    with socket.socket(family) as stream:
        try:
            stream.connect(("server", port))
        except OSError as error:
            return type(error).__name__
        return stream.recv(16)


def opened(kind):
    protocol = socket.IPPROTO_ICMP if kind == socket.SOCK_RAW else 0
    try:
        with socket.socket(socket.AF_INET, kind, protocol) as new:
            return f"protocol {new.proto}"
    except OSError as error:
        return errno.errorcode[error.errno]


{"server": server, "client": client}[sys.argv[1]]()
