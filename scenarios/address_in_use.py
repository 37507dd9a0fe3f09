"""Restart a server that closed first, and its port is taken: EADDRINUSE.

The side that closes first keeps the connection in TIME_WAIT for a minute, in case a late segment is still in
flight. The server below closes first and exits. One connection remains on its port:

    win10:PORT ── kali:50500   TIME_WAIT      it belongs to no process, but bind() still finds it

bind() refuses a port that has a connection, unless SO_REUSEADDR allows old connections. Set it before
bind(), in every server: on Linux the old socket and the new one both need it.
socket.create_server() sets it for you. A port on which another server still listens is refused all the same.
(On Windows the error is WinError 10048, and SO_REUSEADDR has another meaning: two servers may share one port.
Don't set it there; SO_EXCLUSIVEADDRUSE is the safe choice.)
"""

from lab.control.program import CommandFailed

BROKEN = """
import socket, sys
with socket.socket() as listener:
    listener.bind(("", int(sys.argv[1])))
    listener.listen()
    print("listening on", listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"bye")
"""
FIXED = """
import socket, sys
with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", int(sys.argv[1])))
    listener.listen()
    print("listening on", listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"bye")
"""
CLIENT = """
import socket, sys
with socket.create_connection(("server", int(sys.argv[1])), timeout=5) as stream:
    print(stream.makefile().read())  # reads to the end: the server closes first
"""


def run(lab, variant):
    """The first start takes any free port (0), the second start the same port."""
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with lab.server.start_python(program, "0") as first:
        port = first.lines[0].split()[-1]
        said = lab.client.python(CLIENT, port).lines
        first.wait()
    try:
        with lab.server.start_python(program, port) as second:
            said += lab.client.python(CLIENT, port).lines
            error = second.wait().stderr
    except CommandFailed as failure:
        error = failure.result.stderr.splitlines()[-1]
    own = [s for s in lab.states() if s.node == "win10" and s.port == int(port) and "LISTEN" not in s.names]
    return {
        "clients_heard": said,
        "second_start": error,
        "left_behind": [[s.last, s.ended is None] for s in own],
    }


def check_broken(record):
    """The port is taken by the old connection: the second start fails."""
    assert record["clients_heard"] == ["bye"]
    assert record["second_start"] == "OSError: [Errno 98] Address already in use"
    assert record["left_behind"] == [["TIME_WAIT", True]], "without TIME_WAIT the error has another cause"


def check_fixed(record):
    """It restarts at once and serves, although TIME_WAIT lasts."""
    assert record["clients_heard"] == ["bye", "bye"]
    assert record["second_start"] == "", "no error"
    assert record["left_behind"] == [["TIME_WAIT", True]] * 2
