"""A broadcast doesn't cross the router: only its own segment hears it.

A datagram to the broadcast address of a segment (192.168.40.255, or 255.255.255.255) goes to every host on
it, and ends there: routers don't pass broadcasts on, or each would reach the whole world. A "find my
server" that works at home finds nothing as soon as the server is on another segment.

    kali ──▶ 192.168.40.255 ──▶ everybody on "clients"
                             ──▶ router ✗    nothing on "servers"

Send to the host itself (unicast); its name or address has to be known, from DNS or a setting. Multicast
crosses a router only where the router has been told to (and the sender's TTL is raised above its default, 1).
"""

RECEIVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7026))
    print("listening on 7026", flush=True)
    heard = ""
    while heard != "over":
        heard = receiver.recv(1024).decode()
        print(heard, flush=True)
"""
SENDER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for address in sys.argv[2:]:
        sender.sendto(sys.argv[1].encode(), (address, 7026))
"""


def run(lab):
    hosts = [lab.client.address, lab.server.address]
    segment = hosts[0].rpartition(".")[0]
    return {"broken": call(lab, hosts, [f"{segment}.255"]), "fixed": call(lab, hosts, hosts)}


def call(lab, hosts, destinations):
    """Asks, and says to each host that it is over: what was heard before that is all that came."""
    packets = lab.packets()
    before = {segment: len(packets.seen(segment, dport=7026)) for segment in ("clients", "servers")}
    with (
        lab.client.start(["python3", "-c", RECEIVER]) as near,
        lab.server.start(["python3", "-c", RECEIVER]) as far,
    ):
        lab.client.run(["python3", "-c", SENDER, "anybody?", *destinations], check=True)
        seen = {s: len(lab.packets().seen(s, dport=7026)) - count for s, count in before.items()}
        lab.client.run(["python3", "-c", SENDER, "over", *hosts], check=True)
        heard = [receiver.wait().lines[1:] for receiver in (near, far)]
    return {"near_heard": heard[0], "far_heard": heard[1], "seen": seen}


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert broken["near_heard"] == ["anybody?", "over"], "its own segment hears it"
    assert broken["far_heard"] == ["over"]
    assert broken["seen"] == {"clients": 1, "servers": 0}, "the router kept it"
    assert fixed["near_heard"] == fixed["far_heard"] == ["anybody?", "over"]
    assert fixed["seen"] == {"clients": 1, "servers": 1}
