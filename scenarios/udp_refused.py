"""Nothing listens on the UDP port: the sender gets no error, unless its socket is connected.

UDP has no handshake, so sending to a port without a listener succeeds. The other host does report it, with an
ICMP message, "port unreachable". The sender's kernel receives it but doesn't pass it on: an unconnected
socket sends to any address, and has no way to report an error about one of them. So the program waits for an
answer that never comes.

    client ── UDP to 7013 ─────────────────▶ server    nobody listens there
    client ◀─────── ICMP port unreachable ── server    the kernel receives it, the program doesn't

connect() sends nothing: it ties the socket to one peer, and errors about that peer are then reported on the
socket. The next recv() (or send()) raises ConnectionRefusedError. (On Windows an unconnected socket gets the
error too, as WinError 10054 in recvfrom, which many servers don't expect.)
"""

BROKEN = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.settimeout(0.5)
    print("sent", sender.sendto(b"anybody?", ("server", 7013)))
    try:
        print(sender.recv(1024))
    except OSError as error:
        print(type(error).__name__)
"""
FIXED = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.settimeout(0.5)
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
    """ICMP reports that nobody listens; the program only sees its own timeout after half a second."""
    assert record["said"] == ["sent 8", "TimeoutError"]
    assert record["network_said"] == ["ICMP port unreachable", "win10"]


def check_fixed(record):
    """The same ICMP message reaches the program: connection refused."""
    assert record["said"] == ["sent 8", "ConnectionRefusedError"]
    assert record["network_said"] == ["ICMP port unreachable", "win10"]
