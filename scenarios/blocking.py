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
    with connection:
        connection.sendall(connection.recv(1024).upper())

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
    with connection:
        connection.sendall(connection.recv(1024).upper())

with socket.create_server(("", 7024)) as listener:
    print("listening on 7024", flush=True)
    while True:
        connection, _ = listener.accept()
        print("accepted", flush=True)
        threading.Thread(target=serve, args=[connection], daemon=True).start()
"""
SILENT = """
import socket
stream = socket.create_connection(("server", 7024))
input()
"""
POLITE = """
import socket
with socket.create_connection(("server", 7024), timeout=2) as stream:
    stream.sendall(b"hello")
    try:
        print(stream.recv(1024).decode())
    except TimeoutError:
        print("TimeoutError")
"""


def run(lab):
    return {"broken": visit(lab, BROKEN), "fixed": visit(lab, FIXED)}


def visit(lab, program):
    with (
        lab.server.start(["python3", "-c", program]) as server,
        lab.client.start(["python3", "-c", SILENT], announce=""),
    ):
        server.wait_for_line("accepted")
        answer = lab.client.run(["python3", "-c", POLITE]).lines
        accepted = server.lines.count("accepted")
        polite = lab.packets().connections(7024)[-1]
        queues = [s.receive_queue for s in lab.states() if s.remote == polite.client_address]
    record = {"accepted": accepted, "answer": answer, "arrived": polite.from_client.bytes}
    return record | {"unread": queues[-1]} if program is BROKEN else record


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert broken["answer"] == ["TimeoutError"]
    assert broken["accepted"] == 1, "only the silent one"
    assert broken["arrived"] == fixed["arrived"] == 5
    assert broken["unread"] >= 5, "the kernel took the bytes, and no program reads them"
    assert fixed["answer"] == ["HELLO"]
    assert fixed["accepted"] == 2
