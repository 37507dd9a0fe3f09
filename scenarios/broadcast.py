"""A broadcast doesn't cross the router: only hosts on the sender's segment receive it.

A datagram to a broadcast address (255.255.255.255, or that of a segment, such as 192.168.40.255) goes to
every host on the sender's segment and no further. Routers don't forward broadcasts, or each would reach the
whole world. A "find my server" that works at home finds nothing as soon as the server is on another segment.
Here the router, a neighbour of kali, receives the broadcast too, and doesn't forward it:

    kali ──▶ 255.255.255.255 ──▶ every host on "clients", the router too
                                     router ✗    nothing on "servers"

Send to the host itself (unicast). Its name or address must be known, from DNS or a setting. Multicast crosses
a router only if the router is configured for it and the sender raises the TTL above its default, 1.
"""

RECEIVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7026))
    print("listening on 7026", flush=True)
    while (data := receiver.recv(1024)) != b"over":
        print(data.decode(), flush=True)
"""
BROKEN = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.sendto("谁在？".encode(), ("255.255.255.255", 7026))
"""
FIXED = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto("谁在？".encode(), ("server", 7026))
"""
OVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"over", ("server", 7026))
    sender.sendto(b"over", ("router", 7026))
"""


def run(lab, variant):
    """A receiver has received everything when "over" arrives."""
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with (
        lab.router.start_python(RECEIVER) as router,
        lab.server.start_python(RECEIVER) as server,
    ):
        before = {segment: len(seen(lab, segment)) for segment in ("clients", "servers")}
        lab.client.python(program, check=True)
        passed = {segment: len(seen(lab, segment)) - count for segment, count in before.items()}
        lab.client.python(OVER, check=True)
        router.wait()
        server.wait()
    return {"router_heard": router.lines[1:], "win10_heard": server.lines[1:], "passed": passed}


def seen(lab, segment):
    return lab.packets().seen(segment, dport=7026)


def check_broken(record):
    """The router, on the segment of kali, receives the broadcast; win10, behind the router, doesn't."""
    assert record["router_heard"] == ["谁在？"]
    assert record["win10_heard"] == []
    assert record["passed"] == {"clients": 1, "servers": 0}, "the router forwarded it"


def check_fixed(record):
    """win10 receives the datagram, and only win10."""
    assert record["router_heard"] == []
    assert record["win10_heard"] == ["谁在？"]
    assert record["passed"] == {"clients": 1, "servers": 1}
