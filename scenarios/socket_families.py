"""Families and types: which sockets reach the other host, and what they carry.

socket.socket(family, type) makes two choices. The family defines the form of an address, and so how far the
socket reaches; the type defines what the peer receives for one send():

    AF_INET          IPv4: (host, port)          SOCK_STREAM     bytes in order, no message boundaries
    AF_INET6         IPv6, and IPv4 too          SOCK_DGRAM      datagrams, as they were sent
    AF_UNIX          a path, on this host only   SOCK_SEQPACKET  messages in order, in a connection
                                                 SOCK_RAW        packets without TCP or UDP
                                                 SOCK_RDM        reliable datagrams; not on Linux here

A server with AF_INET refuses a client that connects over IPv6. A server with AF_INET6 accepts both, unless
IPV6_V6ONLY is set, and sees an IPv4 client as ::ffff:a.b.c.d. A path of AF_UNIX means nothing on another
host, even if a file of that name exists there. SOCK_SEQPACKET over AF_INET is SCTP, which many kernels lack.

Opening a raw socket needs a privilege (CAP_NET_RAW); using one needs none. Here root opens the socket for a
program that runs as an ordinary user; when that user tries to open one, the error is EPERM. An ICMP socket of
type SOCK_DGRAM is enough for a ping, and needs no privilege.
"""

import tomllib
from pathlib import Path

NEEDS = ("ipv6",)
PROGRAMS = Path(__file__).parent / "programs"
MUST_BE_SEEN = tomllib.loads((PROGRAMS / "socket_families.toml").read_text(encoding="utf-8"))
INTERNET, LOCAL, PING = (
    "\n" + (PROGRAMS / name).read_text(encoding="utf-8")
    for name in ("families_internet.py", "families_local.py", "ping.py")
)
SCTP = "with AF_INET gives protocol 132"  # the output of a kernel that has it


def run(lab):
    kali, win10 = lab.client, lab.server
    told = visited(win10, INTERNET, (kali, "client"))
    told += visited(win10, LOCAL, (kali, "neighbour"), (win10, "neighbour"))
    raw = ["sudo", "-n", "/usr/lib/socketlab/raw", "python3", "-P", "-c", PING, "raw"]
    told += lines(kali.run(raw, check=True), kali.python(PING, "dgram", check=True))
    traffic = lab.packets()
    told += [("packets", f"{family}: {what}") for family, what in packets(traffic)]
    return {"families": rows(told, traffic.names)}


def visited(host, program, *visitors):
    with host.start_python(program, "server") as server:
        results = [visitor.python(program, role, check=True) for visitor, role in visitors]
        server.wait()
    return lines(*results, server.result)


def lines(*results):
    return [(result.node, line) for result in results for line in result.lines]


def packets(traffic):
    for family, port in ("AF_INET", 7050), ("AF_INET6", 7051):
        for c in traffic.connections(port):
            yield family, f"IPv{c.server_address.family} handshake {c.handshake}"
    (stream,) = traffic.connections(7052)
    yield "SOCK_STREAM", f"{stream.from_client.bytes} bytes in a connection"
    for datagram in traffic.datagrams(7053):
        yield "SOCK_DGRAM", f"{datagram.length} bytes in a datagram"
    for family, payload in ("AF_UNIX", b"by a path"), ("SOCK_SEQPACKET", b"one"):
        yield family, f"{sum(p.payload == payload for p in traffic.packets)} packets"
    pings = [transit for transit in traffic.transits if transit.sent.protocol == "icmp"]
    for family, transits in ("SOCK_RAW", pings[:2]), ("IPPROTO_ICMP", pings[2:]):
        for transit in transits:
            yield family, f"{transit.sent.label} {transit.fate} the router"


def rows(told, names):
    """The observations of each family, by the place where they were made.

    A line begins with its family. Names replace the addresses, which differ from lab to lab.
    """
    seen = {}
    for where, line in told:
        family, colon, what = line.partition(": ")
        if colon:
            for address, name in names.items():
                what = what.replace(address, name)
            row = seen.setdefault(family, {})
            row[where] = f"{row[where]}; {what}" if where in row else what
    return seen


def check(record):
    families = record["families"]
    assert set(families) == set(MUST_BE_SEEN)
    for family, seen in MUST_BE_SEEN.items():
        if family == "SOCK_SEQPACKET" and families[family].get("kali") == SCTP:
            seen = seen | {"kali": SCTP}
        assert families[family] == seen, f"{family}: {families[family]}"
