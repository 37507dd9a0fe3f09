"""A link in the middle has a smaller MTU: the first datagram that is too long for it is lost.

The largest packet that fits through a whole path is the path MTU. The sender's kernel knows the MTU of its
own link only: 1,500 bytes. Between the two routers here it is 1,400. Packets are sent with the flag "don't
fragment", so the router discards one that is too long, and reports the length that fits with an ICMP
message. The kernel remembers it for later packets, but it doesn't send this one again:

    client ──▶ 1,500 bytes ──▶ near ✗        the middle carries 1,400
    client ◀── ICMP: fragmentation needed, MTU 1400 ── near

    broken   sends 1,472 bytes of data, and never reads from the socket          nothing arrives
    fixed    recv() fails with EMSGSIZE; sends it again in smaller pieces        1,372 + 100 bytes arrive

A socket reports the error only if it is connected to its peer. TCP handles all of this itself. If a firewall
drops the ICMP messages, the sender never learns the path MTU: small packets arrive and large ones don't. A
datagram of at most 1,200 bytes fits nearly everywhere. (With IP_PMTUDISC_PROBE the kernel doesn't use the
path MTU that it remembers from an earlier run.)
"""

TOPOLOGY = "routers-in-a-row"
SIZE = 1472
RECEIVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7062))
    print("listening on 7062", flush=True)
    while (data := receiver.recv(65535)) != b"over":
        print(len(data), flush=True)
"""
BROKEN = f"""
import socket
IP_MTU_DISCOVER, IP_PMTUDISC_PROBE = 10, 3
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
    sender.connect(("server", 7062))
    sender.send(bytes({SIZE}))
"""
FIXED = f"""
import errno, socket
IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, IP_MTU = 10, 3, 14
HEADERS = 28  # bytes: 20 of IP, 8 of UDP
data = bytes({SIZE})
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
    sender.connect(("server", 7062))
    sender.settimeout(1)
    sender.send(data)
    try:
        sender.recv(1)
    except TimeoutError:
        print("no report: it fits")
    except OSError as error:
        print(errno.errorcode[error.errno])
    mtu = sender.getsockopt(socket.IPPROTO_IP, IP_MTU)
    print(mtu)
    for start in range(0, len(data), mtu - HEADERS):
        sender.send(data[start : start + mtu - HEADERS])
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    before = len(lab.packets().transits)
    with lab.server.start_python(RECEIVER) as receiver:
        client = lab.client.python(program, check=True)
        lab.client.run("lab-udp send --port 7062 server over", check=True)
        receiver.wait()
    traffic = lab.packets()
    transits = traffic.transits[before:]
    icmp = [t.sent for t in transits if t.sent.is_error]
    return {
        "said": client.lines,
        "lost": [[t.sent.length, t.lost_at] for t in transits if t.fate == "lost"],
        "reports": [[packet.label, traffic.names[packet.source]] for packet in icmp],
        "heard": [int(line) for line in receiver.lines[1:]],
    }


def check_broken(record):
    """The datagram is lost at the first router, which reports it; the program doesn't notice."""
    assert record["said"] == []
    assert record["lost"] == [[SIZE, "near"]]
    assert record["reports"] == REPORT
    assert record["heard"] == []


def check_fixed(record):
    """The program learns the path MTU from the error, and its data arrives in two datagrams."""
    assert record["said"] == ["EMSGSIZE", "1400"]
    assert record["lost"] == [[SIZE, "near"]]
    assert record["reports"] == REPORT
    assert record["heard"] == [1372, 100]


REPORT = [["ICMP fragmentation needed", "near"]]
