"""Sending after the peer has closed: the first send succeeds, the second fails.

send() hands bytes to the kernel, and succeeds until the kernel has learned that the connection is dead. The
server below closes every connection that it accepts. Its FIN means "I send no more data"; it doesn't forbid
the client to send. Only the reply to the first line (RST: nobody reads any more) ends the connection, and the
second send() fails with BrokenPipeError, EPIPE (on Windows WinError 10053 or 10054). The first line is lost
without an error.

    client ◀── FIN ───────── server     recv() would return b"" now; this client never calls it
    client ── "one" ───────▶ server     send() returns successfully
    client ◀── RST ───────── server
    client    "two"                     BrokenPipeError

A program that sends has to receive too: wait for the keyboard and the stream at the same time, and treat b""
from either of them as its end.
"""

import time

SERVER = """
import socket
with socket.create_server(("", 7014)) as listener:
    print("listening on 7014", flush=True)
    connection, _ = listener.accept()
    connection.close()
    print("closed", flush=True)
"""
BROKEN = """
import os, socket
with socket.create_connection(("server", 7014), timeout=10) as stream:
    while typed := os.read(0, 1024):  # 0 is standard input; b"" is its end (Ctrl-D)
        stream.sendall(typed)
        print("sent", typed, flush=True)
"""
FIXED = """
import os, select, socket
with socket.create_connection(("server", 7014), timeout=10) as stream:
    while True:
        ready, _, _ = select.select([stream, 0], [], [])  # 0 is standard input
        if stream in ready and stream.recv(1024) == b"":
            print("the server has left")
            break
        if 0 in ready:
            typed = os.read(0, 1024)
            if not typed:
                break  # Ctrl-D
            stream.sendall(typed)
            print("sent", typed, flush=True)
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with (
        lab.server.start_python(SERVER) as server,
        lab.client.start_python(program, announce="") as client,
    ):
        server.wait_for_line("closed")
        if variant == "broken":
            client.send("one\n")
            client.wait_for_line("sent")
            wait_for_reset(lab)
            client.send("two\n")
        error = client.wait().stderr.splitlines()[-1:]
    return {"said": client.lines, "error": error, "reset_by": lab.packets().connections(7014)[-1].reset_by}


def wait_for_reset(lab):
    """Returns when the server's RST has left the router."""
    until = time.monotonic() + 10
    while not lab.packets().connections(7014)[-1].from_server.reset_arrived:
        assert time.monotonic() < until, "no RST came"


def check_broken(record):
    """The first send succeeds, but its line is lost; the second one fails with BrokenPipeError."""
    assert record["said"] == ["sent b'one\\n'"], "the first send succeeds"
    assert record["reset_by"] == "win10"
    assert record["error"] == ["BrokenPipeError: [Errno 32] Broken pipe"]


def check_fixed(record):
    """It notices at once that the server has left, and sends nothing."""
    assert record["said"] == ["the server has left"]
    assert record["error"] == []
    assert record["reset_by"] == ""
