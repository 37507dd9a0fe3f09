"""A burst larger than the receive buffer: datagrams are gone, and nobody gets an error.

A datagram that arrives is put into the receiving socket's buffer, about 200 KiB by default. Where that is
full, because the program is busy with something else, the kernel throws the datagram away. Nothing goes
back to the sender, and nothing is said to the receiver; only a counter (RcvbufErrors) moves:

    sender ── 1,000 datagrams ──▶ [ buffer: a hundred or so ] ──▶ a program that is busy
                                    └─▶ the others: RcvbufErrors

A larger SO_RCVBUF (up to net.core.rmem_max) moves the limit; it doesn't take it away. What does is a sender
that waits for an answer before it sends more than fits: here one for every 20 datagrams. TCP does the same
by its window.
"""

COUNT, WINDOW = 1000, 20
RECEIVER = f"""
import select, socket, sys
heard = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7015))
    print("listening on 7015", flush=True)
    input()  # it is busy until somebody presses Enter
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


def run(lab):
    return {"broken": burst(lab, BROKEN, COUNT), "fixed": burst(lab, FIXED, WINDOW)}


def burst(lab, program, unread):
    """The receiver begins to read when ``unread`` datagrams were sent, and ends when there are no more."""
    lost, before = counted(lab), len(lab.packets().datagrams(7015))
    with (
        lab.server.start(["python3", "-c", RECEIVER]) as receiver,
        lab.client.start(["python3", "-c", program], announce="") as sender,
    ):
        sender.wait_for_line(f"sent {unread}")
        arrived = sum(not datagram.lost for datagram in lab.packets().datagrams(7015)[before:])
        receiver.send("\n")
        code = sender.wait().exit_code
        receiver.close_stdin()
        heard = int(receiver.wait().lines[-1])
    return {"exit_code": code, "arrived_unread": arrived, "heard": heard, "overruns": counted(lab) - lost}


def counted(lab):
    names, values = (line.split() for line in lab.server.run("grep ^Udp: /proc/net/snmp").lines)
    return int(values[names.index("RcvbufErrors")])


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert broken["exit_code"] == fixed["exit_code"] == 0, "no sender gets an error"
    assert broken["arrived_unread"] == COUNT, "the link lost none of them"
    assert 0 < broken["heard"] < COUNT
    assert broken["overruns"] == COUNT - broken["heard"]
    assert fixed["arrived_unread"] == WINDOW, "it sends no more than the window before an answer"
    assert [fixed["heard"], fixed["overruns"]] == [COUNT, 0]
