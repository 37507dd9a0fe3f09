"""accept and recv block: one silent client stops the server for all.

A blocking call returns only when it has a result. An iterative server (one client after the other) waits in
recv(), here inside readline(), for a client that sends nothing, and meanwhile nobody calls accept(). The next
client notices nothing at first: the kernel completes its connection and accepts its bytes. Only the answer
doesn't come.

    silent   ── connects, sends nothing    server: recv() … recv() … recv() …
    polite   ── connects, "hello\\n" ──▶   6 bytes are unread, in a connection that nobody has accepted

With a thread for each client (or asyncio, or select and setblocking(False)) they don't wait for each other.
In any case set a timeout for each client with settimeout(), so that silent clients don't pile up.
"""

BROKEN = """
import socket

def serve(connection):
    with connection, connection.makefile("rb") as file:
        connection.sendall(file.readline().upper())

with socket.create_server(("", 7024)) as listener:
    print("listening on 7024", flush=True)
    while True:
        connection, _ = listener.accept()
        print("accepted", flush=True)
        serve(connection)
"""
FIXED = """
import socket, threading

def serve(connection):
    with connection, connection.makefile("rb") as file:
        connection.sendall(file.readline().upper())

with socket.create_server(("", 7024)) as listener:
    print("listening on 7024", flush=True)
    while True:
        connection, _ = listener.accept()
        print("accepted", flush=True)
        threading.Thread(target=serve, args=[connection], daemon=True).start()
"""
SILENT = """
import socket
with socket.create_connection(("server", 7024)):
    input()
"""
POLITE = """
import socket, sys
with socket.create_connection(("server", 7024), timeout=float(sys.argv[1])) as stream:
    stream.sendall(b"hello\\n")
    try:
        print(stream.makefile().readline().strip())
    except TimeoutError:
        print("TimeoutError")
"""


def run(lab, variant):
    program, timeout = {"broken": (BROKEN, "0.5"), "fixed": (FIXED, "10")}[variant]  # seconds
    with (
        lab.server.start_python(program) as server,
        lab.client.start_python(SILENT, announce=""),
    ):
        server.wait_for_line("accepted")
        answer = lab.client.python(POLITE, timeout).lines
        polite = lab.packets().connections(7024)[-1]
        queues = [s.receive_queue for s in lab.states() if s.remote == polite.client_address]
        record = {"answer": answer, "accepted": server.lines.count("accepted")}
    return record | {"unread": queues[-1]} if variant == "broken" else record


def check_broken(record):
    """Nobody accepts the polite client or reads its message: the server waits for the silent client."""
    assert record["answer"] == ["TimeoutError"]
    assert record["accepted"] == 1, "only the silent client"
    assert record["unread"] >= 6, "the kernel accepted the bytes, and no program reads them"


def check_fixed(record):
    """The polite client gets its answer while the silent client is still connected."""
    assert record["answer"] == ["HELLO"]
    assert record["accepted"] == 2
