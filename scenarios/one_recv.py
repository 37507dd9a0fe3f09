"""One recv is not one message: a megabyte is cut at what had arrived.

recv(n) returns as soon as anything is there, at most n bytes of it. Over loopback that is often all, and
the program seems right; over a slow link it is the first few packets. TCP is a stream of bytes and knows
nothing of messages: the receiver has to know the length, and read until it has it.
"""

SIZE = 1 << 20
SERVER = f"""
import contextlib, socket
with socket.create_server(("", 7001)) as listener:
    print("listening on 7001", flush=True)
    for _ in range(2):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError):  # the broken client doesn't wait for all of it
            connection.sendall(({SIZE}).to_bytes(4, "big") + b"x" * {SIZE})
"""
BROKEN = f"""
import socket
with socket.create_connection(("server", 7001), timeout=20) as stream:
    length = int.from_bytes(stream.recv(4), "big")
    message = stream.recv({SIZE})
print(length, len(message))
"""
FIXED = """
import socket
with socket.create_connection(("server", 7001), timeout=20) as stream, stream.makefile("rb") as file:
    length = int.from_bytes(file.read(4), "big")
    message = file.read(length)
print(length, len(message))
"""


def run(lab):
    with (
        lab.link.impaired(rate=16e6, direction="to-clients", verify=False),
        lab.server.start(["python3", "-c", SERVER]) as server,
    ):
        broken, fixed = (lab.client.run(["python3", "-c", program]) for program in (BROKEN, FIXED))
        server.wait()
    return {
        "broken": [int(word) for word in broken.stdout.split()],
        "fixed": [int(word) for word in fixed.stdout.split()],
        "exit_codes": [broken.exit_code, fixed.exit_code],
    }


def check(record):
    declared, received = record["broken"]
    assert declared == SIZE
    assert 0 < received < SIZE, "one recv was enough: this shows nothing"
    assert record["fixed"] == [SIZE, SIZE]
    assert record["exit_codes"] == [0, 0]
