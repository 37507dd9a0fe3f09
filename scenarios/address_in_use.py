"""Restart a server that closed first, and its port is taken: EADDRINUSE.

Who closes first keeps the connection in TIME_WAIT for a minute, in case that something of it is still under
way. The server below says goodbye first, ends, and leaves this behind on its port:

    win10:7012 ── kali:50500   TIME_WAIT      no process has it, and bind() still finds it there

bind() refuses a port with a connection on it, unless SO_REUSEADDR says that connections of before don't
matter. Set it before bind(), and in every server: Linux wants it of the old one and of the new one.
socket.create_server() does so. A port on which a server still listens is refused all the same. (On Windows
the error is WinError 10048, and SO_REUSEADDR means another thing: two servers on one port. There leave it
out; SO_EXCLUSIVEADDRUSE is the careful choice.)
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
    print(stream.makefile().read())  # to the end: the server closes first
"""


def run(lab, variant):
    """Serves a client, and starts again on the same port. The first time any free port will do (0)."""
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
    """Its port is taken by a connection of before: the second start fails."""
    assert record["clients_heard"] == ["bye"]
    assert record["second_start"] == "OSError: [Errno 98] Address already in use"
    assert record["left_behind"] == [["TIME_WAIT", True]], "without it this shows another cause"


def check_fixed(record):
    """It starts again at once and serves, though TIME_WAIT lasts."""
    assert record["clients_heard"] == ["bye", "bye"]
    assert record["second_start"] == "", "no error"
    assert record["left_behind"] == [["TIME_WAIT", True]] * 2
