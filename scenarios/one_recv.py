"""One recv is not one message: a megabyte is cut at what had arrived.

recv(n) waits until anything is there, and returns that: n is only the most that it may be. Over loopback a
message is often there as a whole, and the program seems right; over a slow link it comes packet by packet:

    sendall        [████████████████████████████████████████]  1,048,576 bytes
    recv(1048576)  [█]                                         what has arrived by now: a few packets

TCP is a stream of bytes and knows nothing of messages. The receiver has to know the length and read until it
has it; the length itself can be cut as well. read(n) of makefile() does so: fewer than n bytes from it mean
that the stream has ended.
"""

SIZE = 1 << 20
SERVER = f"""
import contextlib, socket
with socket.create_server(("", 7001)) as listener:
    print("listening on 7001", flush=True)
    connection, _ = listener.accept()
    with connection, contextlib.suppress(ConnectionError):  # the broken client doesn't wait for all of it
        connection.sendall(({SIZE}).to_bytes(4, "big") + b"x" * {SIZE})
"""
BROKEN = """
import socket
with socket.create_connection(("server", 7001), timeout=20) as stream:
    length = int.from_bytes(stream.recv(4), "big")
    message = stream.recv(length)
print(length, len(message))
"""
FIXED = """
import socket
def read(file, size):
    data = file.read(size)
    if len(data) < size:
        raise EOFError("the stream ended within the message")
    return data

with socket.create_connection(("server", 7001), timeout=20) as stream, stream.makefile("rb") as file:
    length = int.from_bytes(read(file, 4), "big")
    message = read(file, length)
print(length, len(message))
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with (
        lab.link.impaired(rate=32e6, direction="to-clients", verify=False),
        lab.server.start_python(SERVER),
    ):
        client = lab.client.python(program)
    declared, received = map(int, client.stdout.split())
    return {"declared": declared, "received": received, "exit_code": client.exit_code}


def check_broken(record):
    """One recv returned only the first packets of the message, and no error told of the rest."""
    assert record["declared"] == SIZE
    assert 0 < record["received"] < SIZE, "one recv was enough: this shows nothing"
    assert record["exit_code"] == 0


def check_fixed(record):
    """The message is whole: it was read until its declared length was there."""
    assert record == {"declared": SIZE, "received": SIZE, "exit_code": 0}
