"""A datagram over the path's MTU travels in fragments, and losing one of them loses all.

4,000 bytes don't fit into a packet of 1,500, so IP cuts them into three. The receiver's kernel waits for all
of them; here the second is dropped on the way, and the program never hears of any. The same bytes in
datagrams that fit lose one piece, not everything: keep datagrams below the path's MTU.
"""

SIZE, FITTING = 4000, 1000
SERVE = "lab-udp serve --mode notice --port 7005 --json"
SEND = "lab-udp send --mode notice --port 7005 --json"


def run(lab):
    return {
        "broken": send(lab, f"--size {SIZE}"),
        "fixed": send(lab, f"--size {FITTING} --count {SIZE // FITTING}"),
    }


def send(lab, what):
    """Sends while the second packet to win10 is dropped, and a last datagram that says it is over."""
    address = lab.server.address
    before = len(lab.packets().datagrams(port=7005))
    with lab.server.start(SERVE) as receiver:
        with lab.link.dropping(2, protocol="udp", direction="to-servers"):
            lab.client.run(f"{SEND} {what} {address}", check=True)
        lab.client.run(f"{SEND} {address} over", check=True)
        receiver.wait_for_line("over")
    datagrams = lab.packets().datagrams(port=7005)[before:-1]
    heard = [message["size"] for message in receiver.messages if message["event"] == "datagram"]
    return {
        "sent": [datagram.length for datagram in datagrams],
        "fragments": [datagram.fragments for datagram in datagrams],
        "packets_lost": sum(datagram.fragments_lost for datagram in datagrams),
        "heard": heard[:-1],
    }


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert broken["sent"] == [SIZE]
    assert broken["fragments"] == [3]
    assert broken["packets_lost"] == fixed["packets_lost"] == 1
    assert broken["heard"] == [], "two of three fragments came, and are of no use"
    assert fixed["sent"] == [FITTING] * (SIZE // FITTING)
    assert fixed["fragments"] == [1] * len(fixed["sent"])
    assert fixed["heard"] == [FITTING] * (len(fixed["sent"]) - 1)
