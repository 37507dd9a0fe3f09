"""recv() == b"" is the end of the stream, not an empty message: a server spins at 100% CPU.

When the client closes, recv() returns b"" at once, and does so again each time that it is called: there is
nothing to wait for any more. A loop that takes b"" for a message like any other never rests and never ends,
although nobody is there. `top` shows a core at 100%, `ss` a connection in CLOSE_WAIT: closed by the peer, and
not by us.

    client ── "hello" ──▶ server    message 1
    client ── FIN ──────▶ server    b"" b"" b"" b"" b"" b"" b"" b"" b"" …

So that it comes to an end here, both servers may use one second of processor time (ulimit -t), and the
kernel kills the one that needs more with SIGXCPU. Take b"" for the end, before anything else is looked at.
"""

import shlex

BROKEN = """
import socket
with socket.create_server(("", 7019)) as listener:
    print("listening on 7019", flush=True)
    connection, _ = listener.accept()
    with connection:
        while True:
            message = connection.recv(1024)
            if message == b"quit":
                break
            if message:
                print("message:", message.decode(), flush=True)
"""
FIXED = """
import socket
with socket.create_server(("", 7019)) as listener:
    print("listening on 7019", flush=True)
    connection, _ = listener.accept()
    with connection:
        while True:
            message = connection.recv(1024)
            if message in (b"quit", b""):
                break
            if message:
                print("message:", message.decode(), flush=True)
"""
CLIENT = """
import socket
with socket.create_connection(("server", 7019), timeout=5) as stream:
    stream.sendall(b"hello")
"""


def run(lab):
    return {"broken": visit(lab, BROKEN), "fixed": visit(lab, FIXED)}


def visit(lab, program):
    limited = f"ulimit -c 0 -St 1; python3 -c {shlex.quote(program)}; echo exit status $?"
    with lab.server.start(limited) as server:
        lab.client.run(["python3", "-c", CLIENT], check=True)
        server.wait()
    connection = lab.packets().connections(7019)[-1]
    return {
        "said": server.lines[1:],
        "closed_first": connection.closed_first,
        "bytes": connection.from_client.bytes,
    }


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert broken["said"] == ["message: hello", "exit status 152"], "152 is 128 and SIGXCPU"
    assert fixed["said"] == ["message: hello", "exit status 0"]
    assert broken["closed_first"] == fixed["closed_first"] == "kali"
    assert broken["bytes"] == fixed["bytes"] == 5, "not one byte more was sent"
