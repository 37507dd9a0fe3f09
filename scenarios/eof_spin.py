"""recv() == b"" is the end of the stream, not an empty message: a server spins at 100% CPU.

After the client has closed, recv() returns b"" at once, on every call: there is nothing left to wait for. A
loop that skips b"" as if it were an empty message never waits and never ends, although the client has gone.
`top` shows a core at 100%, and `ss` a connection in CLOSE-WAIT: closed by the peer, but not by us.

    client ── "hello" ──▶ server    received b'hello'
    client ── FIN ──────▶ server    b"" b"" b"" b"" b"" b"" b"" b"" b"" …

To end the demonstration, both servers are limited to one second of processor time (ulimit -t); the kernel
kills a server that exceeds it with SIGXCPU. TCP has no empty messages: b"" from recv(1024) always means the
end, so leave the loop.
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
    """The client has gone, and the server spins until the kernel kills it at its limit of processor time."""
    assert record["said"] == ["received b'hello'", "exit status 152"], "152 is 128 and SIGXCPU"
    assert record["closed_first"] == "kali"
    assert record["bytes"] == 5, "the client sent nothing else"


def check_fixed(record):
    """The client has gone, and the server exits."""
    assert record["said"] == ["received b'hello'", "exit status 0"]
    assert record["closed_first"] == "kali"
    assert record["bytes"] == 5
