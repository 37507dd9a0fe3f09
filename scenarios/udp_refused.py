"""Nothing listens on the UDP port: the sender isn't told, unless its socket is connected.

UDP has no handshake, so sending to a port where nobody listens goes well. The other host does complain, in an
ICMP message, "port unreachable". It reaches the sender's kernel, which keeps it to itself: a socket
that sends to anybody has no place for an error about one of them. So the program waits for an answer that
never comes.

    client ── UDP to 7013 ─────────────────▶ server    nobody listens there
    client ◀─────── ICMP port unreachable ── server    the kernel hears it, the program doesn't

connect() sends nothing: it ties the socket to one peer, and its errors then belong to the socket. The next
recv() (or send()) raises ConnectionRefusedError. (On Windows even the unconnected socket is told, by
WinError 10054 in recvfrom, which surprises servers.)
"""

BROKEN = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.settimeout(1)
    print("sent", sender.sendto(b"anybody?", ("server", 7013)))
    try:
        print(sender.recv(1024))
    except OSError as error:
        print(type(error).__name__)
"""
FIXED = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.settimeout(1)
    sender.connect(("server", 7013))
    print("sent", sender.send(b"anybody?"))
    try:
        print(sender.recv(1024))
    except OSError as error:
        print(type(error).__name__)
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    said = lab.client.python(program).lines
    datagram = lab.packets().datagrams(7013)[-1]
    return {"said": said, "network_said": [datagram.unreachable, datagram.unreachable_from]}


def check_broken(record):
    """The network says that nobody is there; the program hears a second of silence."""
    assert record["said"] == ["sent 8", "TimeoutError"]
    assert record["network_said"] == ["ICMP port unreachable", "win10"]


def check_fixed(record):
    """The same word of the network reaches the program: connection refused."""
    assert record["said"] == ["sent 8", "ConnectionRefusedError"]
    assert record["network_said"] == ["ICMP port unreachable", "win10"]
