"""One recv is not one message: of a megabyte, it returns only the first packets.

recv(n) waits until some data has arrived and returns that data; n is only an upper limit. Over loopback the
whole message is often there at once, and the program seems right. Over a slow link it arrives packet by
packet:

    sendall        [████████████████████████████████████████]  1,048,576 bytes
    recv(1048576)  [█]                                         the first packets, which have arrived so far

TCP is a stream of bytes and has no messages. The receiver has to know the length and read until it has that
many bytes; the length itself can arrive in pieces as well. read(n) of makefile() does this: if it returns
fewer than n bytes, the stream has ended.
"""

SIZE = 1 << 20
SERVER = f"""
import contextlib, socket
with socket.create_server(("", 7001)) as listener:
    print("listening on 7001", flush=True)
    connection, _ = listener.accept()
    with connection, contextlib.suppress(ConnectionError):  # the broken client closes too early
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
    """One recv returned only the first packets of the message, without an error."""
    assert record["declared"] == SIZE
    assert 0 < record["received"] < SIZE, "one recv was enough: this shows nothing"
    assert record["exit_code"] == 0


def check_fixed(record):
    """The message is complete: it was read up to its declared length."""
    assert record == {"declared": SIZE, "received": SIZE, "exit_code": 0}
