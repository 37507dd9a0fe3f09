"""A burst larger than the receive buffer: datagrams are gone, and nobody gets an error.

A datagram that arrives is put into the receive buffer of the socket, about 200 KiB by default. If the buffer
is full, because the program is busy, the kernel discards the datagram. Neither the sender nor the receiver
gets an error; only a counter (RcvbufErrors) increases:

    sender ── 300 datagrams ──▶ [ buffer: a hundred or so ] ──▶ a program that is busy
                                   └─▶ the others: RcvbufErrors

A larger SO_RCVBUF (up to net.core.rmem_max) moves the limit but doesn't remove it. The remedy is a sender
that waits for an acknowledgement before it sends more than fits: here one for every 20 datagrams. TCP does
this with its window. (The broken sender doesn't wait: it has exited when the acknowledgements arrive, and its
host answers them with "port unreachable".)
"""

COUNT, WINDOW = 300, 20
RECEIVER = f"""
import select, socket, sys
heard = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 106496)  # doubled: the usual 208 KiB
    receiver.bind(("", 7015))
    print("listening on 7015", flush=True)
    input()  # busy until someone presses Enter
    while receiver in select.select([receiver, sys.stdin], [], [])[0]:
        data, sender = receiver.recvfrom(2000)
        heard += 1
        if int.from_bytes(data[:4], "big") % {WINDOW} == 0:
            receiver.sendto(data[:4], sender)
print(heard)
"""
BROKEN = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.connect(("server", 7015))
    sender.settimeout(20)
    for number in range(1, {COUNT} + 1):
        sender.send(number.to_bytes(4, "big") + bytes(996))
        if number % {WINDOW} == 0:
            print("sent", number, flush=True)
"""
FIXED = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.connect(("server", 7015))
    sender.settimeout(20)
    for number in range(1, {COUNT} + 1):
        sender.send(number.to_bytes(4, "big") + bytes(996))
        if number % {WINDOW} == 0:
            print("sent", number, flush=True)
            sender.recv(4)
"""


def run(lab, variant):
    program, unread = {"broken": (BROKEN, COUNT), "fixed": (FIXED, WINDOW)}[variant]
    lost, before = counted(lab), len(lab.packets().datagrams(7015))
    with (
        lab.server.start_python(RECEIVER) as receiver,
        lab.client.start_python(program, announce="") as sender,
    ):
        sender.wait_for_line(f"sent {unread}")  # only now may the receiver read
        arrived = sum(not datagram.lost for datagram in lab.packets().datagrams(7015)[before:])
        receiver.send("\n")
        code = sender.wait().exit_code
        receiver.close_stdin()
        heard = int(receiver.wait().lines[-1])
    return {"exit_code": code, "arrived_unread": arrived, "heard": heard, "overruns": counted(lab) - lost}


def counted(lab):
    return int(lab.server.run("nstat -asz UdpRcvbufErrors", check=True).stdout.split()[2])


def check_broken(record):
    """All datagrams arrive, the program receives a part of them, and neither end gets an error."""
    assert [record["exit_code"], record["arrived_unread"]] == [0, COUNT], (
        "the link lost a datagram, or the sender failed"
    )
    assert 0 < record["heard"] < COUNT
    assert record["overruns"] == COUNT - record["heard"]


def check_fixed(record):
    """The sender waits for an acknowledgement after every 20, and the program receives all of them."""
    assert [record["exit_code"], record["arrived_unread"]] == [0, WINDOW], (
        "the sender didn't wait for an acknowledgement"
    )
    assert [record["heard"], record["overruns"]] == [COUNT, 0]
