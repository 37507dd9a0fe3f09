"""The backlog is full: nobody accepts, and the next client's connect waits.

The kernel makes connections by itself, and puts them into the listener's queue for accept(). listen(1) gives
that queue room for two (n + 1 on Linux). A third client's SYN is then dropped without a word: its kernel
sends it again after 1, 3, 7 … seconds, and its connect() waits, for two minutes if nothing else is said:

    client 1 ── handshake ──▶ ┐ queue of listen(1), full;  the server does something else
    client 2 ── handshake ──▶ ┘
    client 3 ── SYN ────────▶ ✗   SYN ──▶ ✗   SYN ──▶ ✗    connect() waits

So a connection that is made need not have been seen by any program. The cure is to accept without delay,
and to do the work elsewhere; a larger n (up to net.core.somaxconn) only holds a burst. (The SYN queue,
for handshakes that are half done, is another one: when it overflows, SYN cookies help. They don't help here.
Windows answers with RST when its backlog is full: WinError 10061.)
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
try:
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
    """Two connections fill the queue, and the third client's connect() waits in vain."""
    assert record["clients"] == ["connected", "connected", "TimeoutError"]
    assert record["handshakes"] == ["complete", "complete", "unanswered"]
    assert record["syn_arrived"] is True, "it did reach the server"
    assert record["in_the_queue"] == 2


def check_fixed(record):
    """All three are connected: the server takes each out of the queue."""
    assert record["clients"] == ["connected"] * 3
    assert record["handshakes"] == ["complete"] * 3
