"""Closing with unread data: the kernel sends RST, and the peer loses the answer.

close() promises to send the rest of the send buffer, and then FIN. There is one exception: if data from the
peer is still unread in the receive buffer, the kernel sends RST at once and discards all data that it hasn't
sent yet. The server below never reads the second line of its client. Its sendall() succeeded, but a large
part of the answer never leaves the host:

    client                                server
      │ ── "GET report\\n" "no hurry\\n" ──▶ │  reads the first line only
      │ ◀──── the answer, a part of it ─── │  sendall() returns: the kernel has accepted all data
      │ ◀──────────────────────── RST ──── │  close(): "no hurry" is unread; the rest is discarded

Announce the end with shutdown(SHUT_WR), read until the client has closed too, and only then close. (On
Windows the client also loses the data that had already arrived: WinError 10054.)
"""

SIZE = 1 << 19
BROKEN = f"""
import socket
with socket.create_server(("", 7010)) as listener:
    print("listening on 7010", flush=True)
    connection, _ = listener.accept()
    with connection, connection.makefile("rb", 0) as file:
        connection.settimeout(5)
        file.readline()  # unbuffered: it takes this line from the socket, and nothing after it
        connection.sendall(bytes({SIZE}))
        print("sent all", flush=True)
"""
FIXED = f"""
import socket
with socket.create_server(("", 7010)) as listener:
    print("listening on 7010", flush=True)
    connection, _ = listener.accept()
    with connection, connection.makefile("rb", 0) as file:
        connection.settimeout(5)
        file.readline()  # unbuffered: it takes this line from the socket, and nothing after it
        connection.sendall(bytes({SIZE}))
        print("sent all", flush=True)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
"""
CLIENT = """
import socket
received = 0
with socket.create_connection(("server", 7010), timeout=20) as stream:
    stream.sendall(b"GET report\\nno hurry\\n")
    try:
        while data := stream.recv(65536):
            received += len(data)
        print("the end")
    except OSError as error:
        print(type(error).__name__)
print(received)
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with (
        lab.link.impaired(rate=16e6, direction="to-clients", verify=False),
        lab.server.start_python(program) as server,
    ):
        said, received = lab.client.python(CLIENT).lines
        server.wait()
    return {
        "server_said": server.lines[1:],
        "client_said": said,
        "received": int(received),
        "reset_by": lab.packets().connections(7010)[-1].reset_by,
    }


def check_broken(record):
    """sendall() succeeded, but the client gets only a part of the answer, and then a reset."""
    assert record["server_said"] == ["sent all"]
    assert record["client_said"] == "ConnectionResetError"
    assert 0 < record["received"] < SIZE, "the whole answer had left already: this shows nothing"
    assert record["reset_by"] == "win10"


def check_fixed(record):
    """The client gets the whole answer, and then the end of the stream."""
    assert record["server_said"] == ["sent all"]
    assert record["client_said"] == "the end"
    assert record["received"] == SIZE
    assert record["reset_by"] == ""
