"""The peer's cable is pulled: no FIN, no RST, and recv waits for ever.

A connection is state kept separately on each host. When the peer vanishes, our side stays ESTABLISHED: no
packet arrives, and nothing reports the loss. A program that only reads never finds out, because its kernel
has sent nothing that could time out: `ss --options` shows no timer. Keepalive probes the peer at intervals
and gives up after a number of probes without an answer:

    broken   ESTABLISHED, no timer                                     recv() …
    fixed    1 s of silence ── keepalive probe ──▶ ✗   1 s more        recv(): ETIMEDOUT

With SO_KEEPALIVE alone, the first probe is sent after two hours, and nine probes in all. Data that was sent
and isn't acknowledged always has a timer, of about 15 minutes; TCP_USER_TIMEOUT shortens it. (The ICMP
packets are the lab's: it tests the cable with ping after plugging it in.)
"""

ACKS = True  # the picture shows the answers to keepalive probes before the cable is pulled
SERVER = """
import socket
with socket.create_server(("", 7003)) as listener:
    print("listening on 7003", flush=True)
    connection, _ = listener.accept()
    with connection:
        input()
"""
BROKEN = """
import socket
with socket.create_connection(("server", 7003)) as stream:
    print("connected", flush=True)
    try:
        stream.recv(1)
    except TimeoutError:
        print("ETIMEDOUT")
"""
FIXED = """
import socket
with socket.create_connection(("server", 7003)) as stream:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)  # seconds of silence before the first probe
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)  # seconds between probes
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)  # unanswered probes until it gives up
    print("connected", flush=True)
    try:
        stream.recv(1)
    except TimeoutError:
        print("ETIMEDOUT")
"""
TIMERS = "ss --no-header --tcp --options state established 'dport = :7003'"


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with (
        lab.server.start_python(SERVER),
        lab.client.start_python(program, announce="connected") as client,
    ):
        (line,) = lab.client.run(TIMERS, check=True).lines
        with lab.server.cable_pulled():
            if variant == "fixed":
                client.wait()
            ours = [s for s in lab.states() if s.node == "kali" and s.remote_port == 7003][-1]
            connection = lab.packets().connections(7003)[-1]
    return {
        "timer": line.partition("timer:(")[2].partition(",")[0],
        "said": client.lines[1:],
        "socket": [ours.last, "lasts" if ours.ended is None else "is gone"],
        "peer_closed": connection.closed_first == "win10",
    }


def check_broken(record):
    """The connection is still established, and no timer will ever end the wait."""
    assert record["timer"] == "", "a timer would report the loss in the end"
    assert record["said"] == [], "the loss was reported"
    assert record["socket"] == ["ESTABLISHED", "lasts"]
    assert record["peer_closed"] is False, "the peer closed the connection"


def check_fixed(record):
    """A keepalive probe gets no answer, and recv() fails with ETIMEDOUT two seconds after the last packet."""
    assert record["timer"] == "keepalive"
    assert record["said"] == ["ETIMEDOUT"]
    assert record["socket"] == ["ESTABLISHED", "is gone"]
    assert record["peer_closed"] is False, "the peer closed the connection"
