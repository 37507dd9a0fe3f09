"""One of two address families is broken: a client that tries IPv6 first waits, although IPv4 works.

A name can have both an IPv4 and an IPv6 address, and most systems put IPv6 first. On many networks IPv6 is
configured but broken somewhere on the path: the SYN gets no answer, not even an error. A client that tries
the addresses one after the other waits for its timeout before it tries IPv4, which would have worked at once:

    broken   IPv6: SYN … SYN … SYN … 2 s … timeout   IPv4: connected        after 2 s
    fixed    IPv6: SYN …
             0.25 s later, IPv4 too: connected                              after 0.25 s

The fixed program starts the next attempt after a quarter of a second, while the first one goes on, and takes
the connection that is established first. Browsers do this; it is called happy eyeballs (RFC 8305). In asyncio
it is open_connection(…, happy_eyeballs_delay=0.25). The programs sort the addresses themselves, because the
hosts of this lab put IPv4 first.
"""

TOPOLOGY = "dual-stack"
TIMEOUT, HEAD_START = 2.0, 0.25
HANDSHAKES = [[6, "unanswered"], [4, "complete"]]
BROKEN = f"""
import socket, time
found = socket.getaddrinfo("server", 7064, type=socket.SOCK_STREAM)
addresses = sorted(found, key=lambda each: each[0] != socket.AF_INET6)
started = time.monotonic()
for family, kind, _, _, address in addresses:
    stream = socket.socket(family, kind)
    stream.settimeout({TIMEOUT})
    try:
        stream.connect(address)
        break
    except OSError as error:
        print(family.name, type(error).__name__)
print(stream.family.name, round(time.monotonic() - started, 3))
"""
FIXED = f"""
import asyncio, socket, time
found = socket.getaddrinfo("server", 7064, type=socket.SOCK_STREAM)
addresses = sorted(found, key=lambda each: each[0] != socket.AF_INET6)
started = time.monotonic()

async def attempt(delay, family, address):
    await asyncio.sleep(delay)
    await asyncio.open_connection(*address[:2], family=family)
    return family
async def first_connected():
    attempts = [
        asyncio.create_task(attempt({HEAD_START} * number, family, address))
        for number, (family, _, _, _, address) in enumerate(addresses)
    ]
    for connected in asyncio.as_completed(attempts):
        try:
            return await connected
        except OSError as error:
            print(type(error).__name__)
print(asyncio.run(first_connected()).name, round(time.monotonic() - started, 3))
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    before = len(lab.packets().connections(7064))
    with (
        lab.server.start("lab-echo serve --port 7064"),
        lab.link("in", "out").partitioned(verify=False),
    ):
        client = lab.client.python(program, check=True)
    connections = lab.packets().connections(7064)[before:]
    *failed, (family, seconds) = [line.split() for line in client.lines]
    return {
        "failed": failed,
        "connected_by": family,
        "seconds": float(seconds),
        "handshakes": [[c.server_address.family, c.handshake] for c in connections],
        "lost_at": sorted({t.lost_at for t in lab.packets().transits if t.sent.dport == 7064} - {""}),
    }


def check_broken(record):
    """The client waits two seconds for IPv6, and then connects over IPv4 at once."""
    assert record["failed"] == [["AF_INET6", "TimeoutError"]]
    assert record["connected_by"] == "AF_INET"
    assert TIMEOUT <= record["seconds"] < TIMEOUT + 1
    assert record["handshakes"] == HANDSHAKES
    assert record["lost_at"] == ["broker"]


def check_fixed(record):
    """The client connects over IPv4 after a quarter of a second."""
    assert record["failed"] == []
    assert record["connected_by"] == "AF_INET"
    assert HEAD_START <= record["seconds"] < 1, "the head start, and no timeout"
    assert record["handshakes"] == HANDSHAKES
    assert record["lost_at"] == ["broker"]
