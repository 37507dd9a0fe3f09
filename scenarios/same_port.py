"""A peer is an address and a port: three clients send from the same port.

A server that keeps state for each client needs a key. recvfrom() returns the sender's address and port, and
only both together identify the sender: each host has its own 65,535 ports, so two hosts can use the
same one. Here three hosts send three datagrams each, all from port 5000, and the server counts them:

    broken   counts[port] += 1             5000: 9                                     one client
    fixed    counts[address, port] += 1    client-1: 3   client-2: 3   client-3: 3     three clients

A test with one client doesn't show the mistake. The address alone isn't enough either: two programs on one
host have the same address, and all hosts behind a router that translates addresses share one. With TCP the
kernel does this: accept() returns a socket for each pair of address and port.
"""

TOPOLOGY = "three-clients"
PORT, COUNT = 5000, 3
BROKEN = """
import collections, socket
counts = collections.Counter()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7061))
    print("listening on 7061", flush=True)
    while counts.total() < 9:
        _, (address, port) = receiver.recvfrom(1024)
        counts[port] += 1
for port, count in counts.items():
    print(port, count)
"""
FIXED = """
import collections, socket
counts = collections.Counter()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7061))
    print("listening on 7061", flush=True)
    while counts.total() < 9:
        _, (address, port) = receiver.recvfrom(1024)
        counts[address, port] += 1
for (address, port), count in counts.items():
    print(address, port, count)
"""
SENDER = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.bind(("", {PORT}))
    for number in range({COUNT}):
        sender.sendto(b"%d" % number, ("server", 7061))
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    clients = [lab[f"client-{number}"] for number in (1, 2, 3)]
    names = {client.address: client.title for client in clients}
    before = len(lab.packets().datagrams(7061))
    with lab.server.start_python(program) as server:
        for client in clients:
            client.python(SENDER, check=True)
        server.wait()
    datagrams = lab.packets().datagrams(7061)[before:]
    counts = [line.split() for line in server.lines[1:]]
    return {
        "sent": sorted([datagram.sender, datagram.source.port] for datagram in datagrams),
        "clients": [[names.get(word, word) for word in words] for *words, _ in counts],
        "counts": [int(count) for *_, count in counts],
    }


def check_broken(record):
    """Nine datagrams from three hosts are counted for one client, because their port is the same."""
    assert record["sent"] == SENT
    assert record["clients"] == [[str(PORT)]]
    assert record["counts"] == [9]


def check_fixed(record):
    """Each host is counted as a separate client, with three datagrams."""
    assert record["sent"] == SENT
    assert record["clients"] == [[f"client-{number}", str(PORT)] for number in (1, 2, 3)]
    assert record["counts"] == [COUNT] * 3


SENT = sorted([f"client-{number}", PORT] for number in (1, 2, 3) for _ in range(COUNT))
