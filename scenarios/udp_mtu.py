"""A datagram over the path's MTU travels in fragments, and losing one fragment loses the whole datagram.

A packet on this path holds at most 1,500 bytes (the MTU): 20 for the IP header, 8 for the UDP header, and
1,472 for the program's data. A datagram of 4,000 bytes doesn't fit, so IP splits it into three packets, and
the receiver's kernel reassembles them. Here the second packet is lost. The kernel waits for it in vain, and
the program never gets the two fragments that arrived:

    broken   │ fragment 1 │ ✗ lost ✗ │ fragment 3 │   ──▶ nothing
    fixed    │   1,000    │ ✗ lost ✗ │   1,000    │   1,000    │   ──▶ three of four

Many firewalls and NATs drop fragments, because only the first one contains the ports. Keep datagrams below
the path MTU: 1,472 bytes over Ethernet; about 1,200 bytes get through nearly everywhere. Lost data still has
to be sent again, but only one datagram and not everything.
"""

SIZE, FITTING = 4000, 1000
RECEIVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7005))
    print("listening on 7005", flush=True)
    while (data := receiver.recv(65535)) != b"over":
        print(len(data), flush=True)
"""
BROKEN = f"""
import socket
report = bytes({SIZE})
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.connect(("server", 7005))
    sender.send(report)
    sender.send(b"over")
"""
FIXED = f"""
import socket
report = bytes({SIZE})
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.connect(("server", 7005))
    for start in range(0, len(report), {FITTING}):
        sender.send(report[start : start + {FITTING}])
    sender.send(b"over")
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    before = len(lab.packets().datagrams(7005))
    with (
        lab.server.start_python(RECEIVER) as receiver,
        lab.link.dropping(2, protocol="udp", direction="to-servers"),
    ):
        lab.client.python(program, check=True)
        receiver.wait()
    *datagrams, _ = lab.packets().datagrams(7005)[before:]
    return {
        "sent": [datagram.length for datagram in datagrams],
        "fragments": [datagram.fragments for datagram in datagrams],
        "packets_lost": sum(datagram.fragments_lost for datagram in datagrams),
        "heard": [int(line) for line in receiver.lines[1:]],
    }


def check_broken(record):
    """One packet of three is lost, and all 4,000 bytes with it."""
    assert record["sent"] == [SIZE]
    assert record["fragments"] == [3]
    assert record["packets_lost"] == 1
    assert record["heard"] == [], "two of three fragments arrived, and are useless"


def check_fixed(record):
    """One packet of four is lost, and 1,000 bytes with it."""
    assert record["sent"] == [FITTING] * 4
    assert record["fragments"] == [1] * 4
    assert record["packets_lost"] == 1
    assert record["heard"] == [FITTING] * 3
