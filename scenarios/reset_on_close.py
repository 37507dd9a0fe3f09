"""Closing with unread data: the kernel sends RST, and the peer loses the answer.

close() promises to send what is still in the send buffer, and then FIN. That promise has an exception: where
bytes of the peer lie unread in the receive buffer, the kernel says so with RST at once, and throws away what
it hasn't sent yet. The server below never reads its client's second line. All of its sendall() went well,
and yet most of the answer never leaves the host:

    client                                  server
      │ ── "GET report\\n" "no hurry\\n" ──▶   │  reads the first line only
      │ ◀── the answer, a part of it ───────  │  sendall() returns: the kernel has it all
      │ ◀── RST ────────────────────────────  │  close(): "no hurry" is unread; the rest is thrown away

Say "that was all" with shutdown(SHUT_WR), read until the client has closed too, and only then close. (On
Windows the client also loses what had already arrived: WinError 10054.)
"""

SIZE = 1 << 20
BROKEN = f"""
import socket
with socket.create_server(("", 7010)) as listener:
    print("listening on 7010", flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.recv(len(b"GET report\\n"))
        connection.sendall(bytes({SIZE}))
        print("sent all", flush=True)
"""
FIXED = f"""
import socket
with socket.create_server(("", 7010)) as listener:
    print("listening on 7010", flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.recv(len(b"GET report\\n"))
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


def run(lab):
    with lab.link.impaired(rate=16e6, direction="to-clients", verify=False):
        return {"broken": fetch(lab, BROKEN), "fixed": fetch(lab, FIXED)}


def fetch(lab, program):
    with lab.server.start(["python3", "-c", program]) as server:
        said, received = lab.client.run(["python3", "-c", CLIENT]).lines
        server.wait()
    connection = lab.packets().connections(7010)[-1]
    return {
        "server_said": server.lines[1:],
        "client_said": said,
        "received": int(received),
        "reset_by": connection.reset_by,
    }


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert broken["server_said"] == fixed["server_said"] == ["sent all"]
    assert broken["client_said"] == "ConnectionResetError"
    assert 0 < broken["received"] < SIZE, "all of it had left already: this shows nothing"
    assert broken["reset_by"] == "win10"
    assert fixed["client_said"] == "the end"
    assert fixed["received"] == SIZE
    assert fixed["reset_by"] == ""
