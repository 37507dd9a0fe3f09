"""The backlog is full: nobody accepts, and the next client's connect waits.

The kernel completes connections by itself and puts them into the listener's queue for accept(). With
listen(1) the queue has room for two (n + 1 on Linux). The SYN of a third client is then silently dropped. The
client's kernel sends it again 1, 2, 3, 4, 5, 7, 11 … seconds after the first (before Linux 6.5: 1, 3, 7 …),
and without a timeout of its own connect() waits for about two minutes:

    client 1 ── handshake ──▶ ┐ queue of listen(1), full;  the server is busy with something else
    client 2 ── handshake ──▶ ┘
    client 3 ── SYN ────────▶ ✗   SYN ──▶ ✗   SYN ──▶ ✗    connect() waits

So a complete connection doesn't mean that a program has accepted it. The cure is to accept at once and to
do the work elsewhere, for example in a thread. A larger n (up to net.core.somaxconn) only absorbs a burst:
clients that come faster than the server accepts lose a SYN, and a second, in the best program. (The SYN
queue, for half-open handshakes, is a different queue. SYN cookies help when that one overflows; they don't
help here. Windows answers with RST when its backlog is full: WinError 10061.)
"""

BROKEN = """
import socket
with socket.create_server(("", 7023), backlog=1) as listener:  # listen(1)
    print("listening on 7023", flush=True)
    input()  # busy with something else: nobody calls accept()
"""
FIXED = """
import socket, threading
def serve(connection):
    with connection:
        while data := connection.recv(1024):
            connection.sendall(data)

with socket.create_server(("", 7023), backlog=1) as listener:  # listen(1)
    print("listening on 7023", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=[connection], daemon=True).start()
"""
CLIENT = """
import socket, sys
try:  # one address: a name may have several, and create_connection() tries each
    with socket.create_connection((sys.argv[1], 7023), timeout=float(sys.argv[2])):
        print("connected")
except TimeoutError:
    print("TimeoutError")
"""


def run(lab, variant):
    program, timeout = {"broken": (BROKEN, "0.5"), "fixed": (FIXED, "10")}[variant]  # seconds
    before = len(lab.packets().connections(7023))
    with lab.server.start_python(program):
        said = [lab.client.python(CLIENT, lab.server.address, timeout).stdout.strip() for _ in range(3)]
        queue = [s.receive_queue for s in lab.states() if s.port == 7023 and s.last == "LISTEN"][-1]
    attempts = lab.packets().connections(7023)[before:]
    record = {"clients": said, "handshakes": [attempt.handshake for attempt in attempts]}
    stuck = {"in_the_queue": queue, "syn_arrived": attempts[-1].from_client.syns_arrived > 0}
    return record | stuck if variant == "broken" else record


def check_broken(record):
    """Two connections fill the queue, and the third client's connect() times out."""
    assert record["clients"] == ["connected", "connected", "TimeoutError"]
    assert record["handshakes"] == ["complete", "complete", "unanswered"]
    assert record["syn_arrived"] is True, "the SYN reached the server"
    assert record["in_the_queue"] == 2


def check_fixed(record):
    """All three are connected: the server takes each connection out of the queue."""
    assert record["clients"] == ["connected"] * 3
    assert record["handshakes"] == ["complete"] * 3
