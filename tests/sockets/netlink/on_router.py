"""Runs as root on the router, for test_nfqueue.py: packets over loopback, held in a real queue.

Each function is one case; its result is printed as JSON on the last line.
"""

import contextlib
import json
import select
import socket
import subprocess
import sys

sys.path.insert(0, "/opt/socketlab")

from lab.link.impairment_model import flip_bit, parse  # noqa: E402
from lab.sockets.netlink.nfqueue import WHOLE, Injector, Queue, overflowed, payload  # noqa: E402

NUMBER, PORT = 64_000, 9955
HOSTS = {4: (socket.AF_INET, "127.0.0.1", "iptables"), 6: (socket.AF_INET6, "::1", "ip6tables")}


@contextlib.contextmanager
def queued(version):
    """Queues datagrams to PORT over loopback."""
    family, host, command = HOSTS[version]
    rule = (
        f"OUTPUT -o lo -p udp --dport {PORT} -m mark ! --mark {Injector.MARK} -j NFQUEUE --queue-num {NUMBER}"
    )
    subprocess.run([command, "-t", "mangle", "-A", *rule.split()], check=True)
    with (
        socket.socket(family, socket.SOCK_DGRAM) as receiver,
        socket.socket(family, socket.SOCK_DGRAM) as sender,
    ):
        try:
            receiver.bind((host, PORT))
            receiver.settimeout(5)
            sender.connect((host, PORT))
            sender.settimeout(5)
            yield sender, receiver
        finally:
            subprocess.run([command, "-t", "mangle", "-D", *rule.split()], check=True)


def take(queue, count):
    packets = []
    while len(packets) < count:
        assert select.select([queue], [], [], 5)[0], "the queue stays empty"
        packets += queue.receive(100)
    return packets


def is_silent(receiver):
    receiver.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        return not receiver.recv(2000)
    return True


def verdicts(version):
    with queued(version) as (sender, receiver), contextlib.closing(Queue(NUMBER, copied=100)) as queue:
        for text in (b"0", b"1", b"2", b"3", b"4"):
            sender.send(text)
        ids = [number for number, _ in take(queue, 5)]
        texts = []
        before = is_silent(receiver)
        receiver.settimeout(5)
        queue.accept([ids[3]])
        texts.append(receiver.recv(99).decode())
        queue.drop([ids[1]])
        queue.accept_up_to(ids[2])
        texts += [receiver.recv(99).decode(), receiver.recv(99).decode()]
        queue.accept([ids[4]])
        texts.append(receiver.recv(99).decode())
        return {"silent_before": before, "texts": texts, "overflowed": overflowed(NUMBER)}


def copies(version):
    seen = {}
    for copied in (0, 60, WHOLE):
        with queued(version) as (sender, receiver), contextlib.closing(Queue(NUMBER, copied=copied)) as queue:
            sender.send(b"x" * 1000)
            ((number, notice),) = take(queue, 1)
            queue.accept([number])
            receiver.recv(2000)
            seen[copied] = len(payload(notice)), parse(payload(notice)).target if copied else 0
    return seen


def replaced(version):
    with queued(version) as (sender, receiver), contextlib.closing(Queue(NUMBER, copied=WHOLE)) as queue:
        sender.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK: IPv4 delivers the changed packet
        sender.send(b"a" * 50)
        ((number, notice),) = take(queue, 1)
        queue.replace(number, flip_bit(payload(notice), 0.0))
        return {"got": None if version == 6 and is_silent(receiver) else receiver.recv(99).decode()}


def injected(version):
    with (
        queued(version) as (sender, receiver),
        contextlib.closing(Queue(NUMBER, copied=WHOLE)) as queue,
        contextlib.closing(Injector()) as injector,
    ):
        sender.send(b"twice")
        ((number, notice),) = take(queue, 1)
        queue.accept([number])
        injector.send(payload(notice))
        texts = [receiver.recv(99).decode(), receiver.recv(99).decode()]
        return {"texts": texts, "queued_again": len(queue.receive(10))}


def dies(version):
    """The kernel drops the packets of a queue without a consumer."""
    with queued(version) as (sender, receiver):
        queue = Queue(NUMBER)
        sender.send(b"held")
        take(queue, 1)
        queue.close()
        with contextlib.suppress(OSError):  # the kernel may report it to the sender
            sender.send(b"after")
        return {"silent": is_silent(receiver)}


def taken(_):
    with contextlib.closing(Queue(NUMBER)):
        try:
            Queue(NUMBER)
        except PermissionError as error:
            return {"refused": str(error)}
    return {"refused": None}


def many(version):
    """More packets at once than fit into one write of verdicts."""
    with queued(version) as (sender, receiver), contextlib.closing(Queue(NUMBER)) as queue:
        receiver.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        sender.setsockopt(socket.SOL_SOCKET, 32, 4 << 20)  # SO_SNDBUFFORCE: held packets count as unsent
        for _ in range(1200):
            sender.send(b"x")
        queue.accept([number for number, _ in take(queue, 1200)])
        count = 0
        with contextlib.suppress(TimeoutError):
            receiver.settimeout(0.2)
            while receiver.recv(10):
                count += 1
        return {"received": count}


if __name__ == "__main__":
    case, version = sys.argv[1], int(sys.argv[2])
    print(json.dumps(globals()[case](version)))
