"""The peer's cable is pulled: no FIN, no RST, and recv waits for ever.

A connection is two memories of it, one on each host. When the peer vanishes, ours stays ESTABLISHED: nothing
comes, and nothing says so. A program that only reads never knows, for its kernel isn't waiting for anything
that could be overdue: `ss --options` shows no timer. Keepalive asks the peer every so often, and gives up
after some questions without an answer:

    broken   ESTABLISHED, no timer                                recv() …
    fixed    1 s of silence ── are you there? ──▶ ✗   1 s more    recv(): ETIMEDOUT

SO_KEEPALIVE alone asks after two hours for the first time, and nine times in all. Data that was sent and
isn't acknowledged has a timer in any case, of 15 minutes or so; TCP_USER_TIMEOUT makes that one shorter.
"""

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
    """The connection still stands, and no timer runs that would ever end the wait."""
    assert record["timer"] == "", "something would tell it in the end"
    assert record["said"] == [], "something told it"
    assert record["socket"] == ["ESTABLISHED", "lasts"]
    assert record["peer_closed"] is False, "the peer said that it goes"


def check_fixed(record):
    """Keepalive asked, nobody answered, and recv() fails with ETIMEDOUT after two seconds."""
    assert record["timer"] == "keepalive"
    assert record["said"] == ["ETIMEDOUT"]
    assert record["socket"] == ["ESTABLISHED", "is gone"]
    assert record["peer_closed"] is False, "the peer said that it goes"
