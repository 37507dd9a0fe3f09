"""Sending after the peer has closed: the first send goes well, the second fails.

send() hands bytes to the kernel, and that goes well as long as the connection isn't known to be dead. The
server below says goodbye and closes; its FIN means "no more from me", which doesn't forbid the client to
send. Only the answer to the first line (RST: nobody reads that any more) ends the connection, and the second
send() gets to know: BrokenPipeError, EPIPE (on Windows WinError 10053 or 10054). The first line is lost, and
nothing said so.

    client ◀── FIN ───────── server     recv() would return b"" now; this client never asks
    client ── "one" ───────▶ server     send() is content
    client ◀── RST ───────── server
    client    "two"                     BrokenPipeError

Whoever sends has to listen too: wait for the keyboard and the stream at once, and take b"" for what it is.
"""

import time

SERVER = """
import socket
with socket.create_server(("", 7014)) as listener:
    print("listening on 7014", flush=True)
    for _ in range(2):
        listener.accept()[0].close()
        print("closed", flush=True)
"""
BROKEN = """
import socket, sys
stream = socket.create_connection(("server", 7014), timeout=10)
while line := sys.stdin.readline():
    stream.sendall(line.encode())
    print("sent", line.strip(), flush=True)
"""
FIXED = """
import select, socket, sys
stream = socket.create_connection(("server", 7014), timeout=10)
while True:
    ready, _, _ = select.select([stream, sys.stdin], [], [])
    if stream in ready and stream.recv(1024) == b"":
        print("the server has left")
        break
    if sys.stdin in ready:
        line = sys.stdin.readline()
        stream.sendall(line.encode())
        print("sent", line.strip(), flush=True)
"""


def run(lab):
    with lab.server.start(["python3", "-c", SERVER]) as server:
        with lab.client.start(["python3", "-c", BROKEN], announce="") as broken:
            server.wait_for_line("closed")
            broken.send("one\n")
            broken.wait_for_line("sent one")
            resets = [wait_for_reset(lab)]
            broken.send("two\n")
            broken.wait()
        with lab.client.start(["python3", "-c", FIXED], announce="") as fixed:
            fixed.wait()
        server.wait()
    resets += [lab.packets().connections(7014)[-1].reset_by]
    return {
        variant: {"said": program.lines, "error": program.result.stderr.splitlines()[-1:], "reset_by": reset}
        for variant, program, reset in zip(("broken", "fixed"), (broken, fixed), resets, strict=True)
    }


def wait_for_reset(lab):
    """Who reset the connection, as soon as the packets tell."""
    until = time.monotonic() + 10
    while not (reset_by := lab.packets().connections(7014)[-1].reset_by) and time.monotonic() < until:
        pass
    return reset_by


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert broken["said"] == ["sent one"], "the first send succeeds"
    assert broken["reset_by"] == "win10"
    assert broken["error"] == ["BrokenPipeError: [Errno 32] Broken pipe"]
    assert fixed["said"] == ["the server has left"]
    assert fixed["error"] == []
    assert fixed["reset_by"] == ""
