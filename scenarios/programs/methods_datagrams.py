"""Datagrams: run it with `server` on one host, then with `client` on the other.

The server answers each datagram with one byte. The client waits for it, so that datagrams keep their order.
"""

import socket
import sys


def server():
    receiver = socket.socket(type=socket.SOCK_DGRAM)
    receiver.bind(("", 7044))
    print("listening on 7044", flush=True)
    data, sender = receiver.recvfrom(1024)
    print("sendto: receives", data)
    print("recvfrom: returns the sender,", sender)
    receiver.sendto(b".", sender)
    cut, _ = receiver.recvfrom(3)
    receiver.sendto(b".", sender)
    print("recvfrom: recvfrom(3) gives", cut, "and the next", receiver.recvfrom(1024)[0])


def client():
    sender = socket.socket(type=socket.SOCK_DGRAM)
    sender.bind(("", 7045))
    print("sendto: returns", sender.sendto(b"hello", ("server", 7044)))
    sender.recv(1)
    sender.sendto(b"one too long", ("server", 7044))
    sender.recv(1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)
    print("setsockopt: IP_TTL is", sender.getsockopt(socket.IPPROTO_IP, socket.IP_TTL))
    sender.sendto(b"another one", ("server", 7044))


{"server": server, "client": client}[sys.argv[1]]()
