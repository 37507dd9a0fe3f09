"""A connection for each request: TIME_WAIT piles up on the side that closes first.

The side that closes first keeps the connection for a minute, so that a late segment isn't mistaken for part
of the next connection. With one connection per request, a busy client soon has thousands of them, each with
one of its 28,000 ports; when no port is left, connect() fails with EADDRNOTAVAIL.

    broken   connect, ask, answer, close  ×  250        250 × TIME_WAIT on the client
    fixed    connect, (ask, answer)  ×  250, close      1 × TIME_WAIT

Keep the connection and reuse it. The kernel settings do less than is often claimed: tcp_fin_timeout applies
to FIN_WAIT_2, while TIME_WAIT is fixed at one minute; tcp_tw_reuse lets connect() reuse the host's own ports
in TIME_WAIT and helps no server; tcp_tw_recycle broke clients behind NAT and was removed in Linux 4.12.
"""

REQUESTS = 250
SERVER = """
import socket
with socket.create_server(("", 7027), backlog=100) as listener:
    print("listening on 7027", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            while request := connection.recv(1024):
                connection.sendall(request.upper())
"""
BROKEN = f"""
import socket
answers = 0
for _ in range({REQUESTS}):
    with socket.create_connection(("server", 7027), timeout=10) as stream, stream.makefile("rb") as file:
        stream.sendall(b"hello")
        answers += file.read(5) == b"HELLO"
print(answers)
"""
FIXED = f"""
import socket
answers = 0
with socket.create_connection(("server", 7027), timeout=10) as stream, stream.makefile("rb") as file:
    for _ in range({REQUESTS}):
        stream.sendall(b"hello")
        answers += file.read(5) == b"HELLO"
print(answers)
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    before = len(lab.packets().connections(7027))
    with lab.server.start_python(SERVER):
        answers = int(lab.client.python(program).stdout)
    connections = lab.packets().connections(7027)[before:]
    ours = {frozenset((connection.client_address, connection.server_address)) for connection in connections}
    waiting = [s for s in lab.states() if s.last == "TIME_WAIT" and s.ended is None]
    left = [s.node for s in waiting if {s.local, s.remote} in ours]
    return {
        "answers": answers,
        "connections": len(connections),
        "closed_first": sorted({connection.closed_first for connection in connections}),
        "time_wait": {host: left.count(host) for host in ("kali", "win10")},
    }


def check_broken(record):
    """Each request leaves a connection in TIME_WAIT on the client, which closed first."""
    assert record["answers"] == record["connections"] == REQUESTS
    assert record["closed_first"] == ["kali"]
    assert record["time_wait"] == {"kali": REQUESTS, "win10": 0}


def check_fixed(record):
    """All requests share one connection, and one TIME_WAIT remains."""
    assert record["answers"] == REQUESTS
    assert record["connections"] == 1
    assert record["closed_first"] == ["kali"]
    assert record["time_wait"] == {"kali": 1, "win10": 0}
