"""Each router subtracts one from the TTL: a program can use this to find the routers on a path.

Every IP packet has a time to live (TTL). A router subtracts one from it before it forwards the packet. At
zero it discards the packet and reports this to the sender with an ICMP message: time exceeded. Without a TTL,
a packet in a routing loop would circulate forever. traceroute uses it, too: it sends packets with a TTL of
1, 2, 3, …, and the sender of each ICMP message is the next router.

    TTL 1   client ──▶ near ✗                          time exceeded, from near
    TTL 2   client ──▶ near ──▶ far ✗                  time exceeded, from far
    TTL 3   client ──▶ near ──▶ far ──▶ server         port unreachable, from server

The last message differs: the datagram has arrived, but no program uses its port. An ordinary UDP socket is
enough. With IP_RECVERR the kernel keeps ICMP messages in the socket's error queue, and recvmsg() with
MSG_ERRQUEUE returns them; the socket's error code alone doesn't show the sender of the message.
"""

TOPOLOGY = "routers-in-a-row"
TRACE = """
import select, socket
IP_RECVERR, MSG_ERRQUEUE = 11, 0x2000
SEEN = {11: "time exceeded", 3: "port unreachable"}
for ttl in range(1, 9):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        probe.sendto(b"", ("server", 33434))
        waiting = select.poll()
        waiting.register(probe, 0)  # an error is always reported
        waiting.poll(5000)
        _, messages, _, _ = probe.recvmsg(0, 512, MSG_ERRQUEUE)
        ((_, _, message),) = messages
        kind, sender = message[5], socket.inet_ntoa(message[20:24])  # struct sock_extended_err, ip(7)
        print(ttl, sender, SEEN[kind], flush=True)
        if kind == 3:
            break
"""


def run(lab):
    names = {address: host.title for host in lab.hosts for address in host.node.addresses}
    ours = [line.split(" ", 2) for line in lab.client.python(TRACE, check=True).lines]
    tool = lab.client.run("traceroute -n -q 1 -w 5 server", check=True).lines[1:]
    (whole,) = [t for t in lab.packets().transits if t.fate == "crossed" and t.sent.ttl == 3][:1]
    return {
        "ours": [[int(ttl), names.get(sender, sender), seen] for ttl, sender, seen in ours],
        "traceroute": [names.get(line.split()[1], line) for line in tool],
        "ttl_on_the_way": [packet.ttl for packet in whole.sightings],
        "lost_at": [t.lost_at for t in lab.packets().transits if t.fate == "lost"][:2],
    }


def check(record):
    assert record["ours"] == [
        [1, "near", "time exceeded"],
        [2, "far", "time exceeded"],
        [3, "server", "port unreachable"],
    ]
    assert record["traceroute"] == ["near", "far", "server"]
    assert record["ttl_on_the_way"] == [3, 2, 2, 1], "captured on both segments of both routers"
    assert record["lost_at"] == ["near", "far"]
