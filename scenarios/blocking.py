"""accept and recv block: one silent client stops the server for all.

A blocking call returns when it has something, and not before. An iterative server (one client after the
other) waits in recv() for a client that says nothing, and meanwhile nobody calls accept(). The next client
notices nothing at first: the kernel makes its connection and takes its bytes. Only the answer doesn't come.

    silent   ── connects, says nothing      server: recv() … recv() … recv() …
    polite   ── connects, "hello" ──▶       5 bytes lie unread in a connection that nobody has accepted

A thread for each client (or asyncio, or select with setblocking(False)) keeps them apart. In any case give
each client a deadline, settimeout(), so that silent ones don't pile up.
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
    """Nobody accepts the polite client, and its message lies unread: the server waits for the silent one."""
    assert record["answer"] == ["TimeoutError"]
    assert record["accepted"] == 1, "only the silent one"
    assert record["unread"] >= 6, "the kernel took its bytes, and no program reads them"


def check_fixed(record):
    """The polite client gets its answer while the silent one is silent still."""
    assert record["answer"] == ["HELLO"]
    assert record["accepted"] == 2
