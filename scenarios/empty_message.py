"""An empty message: TCP sends nothing for it, and both sides wait.

send(b"") on a TCP socket adds no byte to the stream. No packet leaves, and the peer has nothing to receive. A
client sends each line that the user types and waits for the answer. As soon as the user only presses Enter,
it waits for ever (here it gives up after half a second), and the server waits as well, for the message.

    client                         server
      │ ── "hello" ────────────────▶ │
      │ ◀──────────────── "hello" ── │
      │    sendall(b"")              │  recv() waits: nothing has arrived
      │    recv() waits              │

Mark the end of each message. The fixed client ends each with a newline, so the empty message is one byte;
with a length in front it would be a header with the value 0. UDP is different: a datagram without payload is
still a datagram. It arrives, and recvfrom returns b"".
"""

SERVER = """
import socket
with socket.create_server(("", 7018)) as listener:
    print("listening on 7018", flush=True)
    connection, _ = listener.accept()
    with connection:
        while message := connection.recv(1024):
            connection.sendall(message)
"""
BROKEN = """
import socket
with socket.create_connection(("server", 7018), timeout=0.5) as stream:
    for message in ("hello", "", "bye"):
        stream.sendall(message.encode())
        print(stream.recv(1024).decode(), flush=True)
"""
FIXED = """
import socket, sys
with socket.create_connection(("server", 7018), timeout=0.5) as stream, stream.makefile("rb") as file:
    for message in ("hello", "", "bye"):
        stream.sendall(message.encode() + b"\\n")
        answer = file.readline()
        if not answer:
            sys.exit("the server has left")
        print(answer.decode().strip(), flush=True)
"""
UDP_SERVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 7018))
    print("listening on 7018", flush=True)
    print([receiver.recv(1024) for _ in range(3)])
"""
UDP_CLIENT = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for message in ("hello", "", "bye"):
        sender.sendto(message.encode(), ("server", 7018))
"""


def run(lab, variant):
    with lab.server.start_python(SERVER):
        client = lab.client.python({"broken": BROKEN, "fixed": FIXED}[variant])
    connection = lab.packets().connections(7018)[-1]
    ways = [connection.from_client.bytes, connection.from_server.bytes]
    record = {"answers": client.lines, "error": client.stderr.splitlines()[-1:], "bytes": ways}
    return record if variant == "broken" else record | {"udp": by_udp(lab)}


def by_udp(lab):
    with lab.server.start_python(UDP_SERVER) as receiver:
        lab.client.python(UDP_CLIENT, check=True)
        return receiver.wait().lines[-1]


def check_broken(record):
    """It waits for the answer to a message that was never sent, until its timeout."""
    assert record["answers"] == ["hello"]
    assert record["error"] == ["TimeoutError: timed out"], "it waited for the answer to the empty message"
    assert record["bytes"] == [5, 5], "no packet carried the empty message"


def check_fixed(record):
    """The empty message is sent as a newline and answered; UDP delivers even an empty datagram."""
    assert record["answers"] == ["hello", "", "bye"]
    assert record["error"] == []
    assert record["bytes"] == [11, 11], "6 for hello, 1 for the empty message, 4 for bye"
    assert record["udp"] == "[b'hello', b'', b'bye']"
