"""Write, write, read: two small writes and a wait cost 40 ms a turn.

Two mechanisms of TCP interact here. Nagle's algorithm holds a small segment back while earlier data is
unacknowledged. The receiver delays its acknowledgement (40 ms or more on Linux; the standard allows 500),
because an answer may soon carry it. The server can't answer before it has the body, so both sides wait for
the delayed acknowledgement:

    client                             server
      │ ── header ────────────────────▶ │  no answer yet: the ACK waits for one
      │    body: held back              │  ⋮ 40 ms
      │ ◀───────────────────────── ACK  │
      │ ── body ──────────────────────▶ │
      │ ◀────────────────────── answer  │

Write data that belongs together in one call. If that is impossible, TCP_NODELAY turns Nagle's algorithm off.
(A new connection is fast at first: Linux acknowledges its first segments without delay.)
"""

import itertools
import statistics

TURNS, HEADER, BODY = 20, 4, 100
SERVER = f"""
import socket
with socket.create_server(("", 7022)) as listener:
    print("listening on 7022", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as file:
            while len(file.read({HEADER + BODY})) == {HEADER + BODY}:
                connection.sendall(b"ok")
"""
BROKEN = f"""
import socket, sys
with socket.create_connection(("server", 7022), timeout=20) as stream, stream.makefile("rb") as file:
    for _ in range({TURNS}):
        header, body = ({BODY}).to_bytes({HEADER}, "big"), bytes({BODY})
        stream.sendall(header)
        stream.sendall(body)
        if file.read(2) != b"ok":
            sys.exit("the server has left")
        print("ok")
"""
FIXED = f"""
import socket, sys
with socket.create_connection(("server", 7022), timeout=20) as stream, stream.makefile("rb") as file:
    for _ in range({TURNS}):
        header, body = ({BODY}).to_bytes({HEADER}, "big"), bytes({BODY})
        stream.sendall(header + body)
        if file.read(2) != b"ok":
            sys.exit("the server has left")
        print("ok")
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    before = len(lab.packets().seen("clients", dport=7022))
    with lab.server.start_python(SERVER):
        answers = lab.client.python(program).lines
    sent = [packet for packet in lab.packets().seen("clients", dport=7022)[before:] if packet.length]
    waits = [body.at - header.at for header, body in itertools.pairwise(sent) if header.length == HEADER]
    return {
        "answers": len(answers),
        "pieces": sorted({packet.length for packet in sent}),
        "held_ms": round(statistics.median(waits) * 1000) if waits else 0,
    }


def check_broken(record):
    """Each turn takes two packets, and the second is held back for about 40 ms."""
    assert record["answers"] == TURNS
    assert record["pieces"] == [HEADER, BODY], "the kernel merged header and body"
    assert record["held_ms"] >= 30, "the body didn't wait for an acknowledgement"


def check_fixed(record):
    """Each turn takes one packet, which isn't held back."""
    assert record["answers"] == TURNS
    assert record["pieces"] == [HEADER + BODY]
    assert record["held_ms"] == 0
