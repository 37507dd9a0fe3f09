"""recv() == b"" is the end of the stream, not an empty message: a server spins at 100% CPU.

When the client closes, recv() returns b"" at once, and does so again each time that it is called: there is
nothing to wait for any more. A loop that skips b"" as if it were an empty message never rests and never ends,
although nobody is there. `top` shows a core at 100%, `ss` a connection in CLOSE-WAIT: closed by the peer, and
not by us.

    client ── "hello" ──▶ server    message: hello
    client ── FIN ──────▶ server    b"" b"" b"" b"" b"" b"" b"" b"" b"" …

So that it comes to an end here, both servers may use one second of processor time (ulimit -t), and the
kernel kills the one that needs more with SIGXCPU. TCP knows no empty message: b"" from recv(1024) is always
the end, so leave the loop.
"""

import shlex

BROKEN = """
import socket
with socket.create_server(("", 7019)) as listener:
    print("listening on 7019", flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        while True:
            data = connection.recv(1024)
            if not data:
                continue
            print("received", data, flush=True)
"""
FIXED = """
import socket
with socket.create_server(("", 7019)) as listener:
    print("listening on 7019", flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        while True:
            data = connection.recv(1024)
            if not data:
                break
            print("received", data, flush=True)
"""
CLIENT = """
import socket
with socket.create_connection(("server", 7019), timeout=5) as stream:
    stream.sendall(b"hello")
"""


def run(lab, variant):
    program = shlex.quote({"broken": BROKEN, "fixed": FIXED}[variant])
    with lab.server.start(f"ulimit -c 0 -St 1; python3 -c {program}; echo exit status $?") as server:
        lab.client.python(CLIENT, check=True)
        server.wait()
    connection = lab.packets().connections(7019)[-1]
    return {
        "said": server.lines[1:],
        "closed_first": connection.closed_first,
        "bytes": connection.from_client.bytes,
    }


def check_broken(record):
    """The client has gone, and the server runs on until the kernel kills it for its processor time."""
    assert record["said"] == ["received b'hello'", "exit status 152"], "152 is 128 and SIGXCPU"
    assert record["closed_first"] == "kali"
    assert record["bytes"] == 5, "not one byte more was sent"


def check_fixed(record):
    """The client has gone, and the server ends."""
    assert record["said"] == ["received b'hello'", "exit status 0"]
    assert record["closed_first"] == "kali"
    assert record["bytes"] == 5
