"""Both send before they read: two full buffers, and both wait for ever.

sendall() returns when the kernel has taken all of it, and the kernel takes only what fits into the peer's
receive buffer and its own send buffer. Where both ends send first and read afterwards, neither reads, both
buffers fill, and both sendall() wait for the other. Small messages hide it. Reading while writing (here in
a thread) makes it go away.
"""

SIZE = 16 << 20
PROGRAM = """
import socket, sys, threading
role, variant, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
if role == "server":
    listener = socket.create_server(("", 7002))
    print("listening on 7002", flush=True)
    stream, _ = listener.accept()
else:
    stream = socket.create_connection(("server", 7002))
stream.settimeout(3)

def read():
    with stream.makefile("rb") as file:
        print("received", len(file.read(size)), flush=True)

reader = threading.Thread(target=read)
if variant == "fixed":
    reader.start()
try:
    stream.sendall(bytes(size))
    reader.join() if variant == "fixed" else read()
except TimeoutError:
    print("stuck in sendall", flush=True)
sys.stdin.read()  # both stay until both have said how it went
"""


def run(lab):
    return {variant: exchange(lab, variant) for variant in ("broken", "fixed")}


def exchange(lab, variant):
    program = ["python3", "-c", PROGRAM]
    end = "stuck" if variant == "broken" else "received"
    with (
        lab.server.start([*program, "server", variant, str(SIZE)]) as server,
        lab.client.start([*program, "client", variant, str(SIZE)], announce="") as client,
    ):
        said = [host.wait_for_line(end, timeout=30) for host in (client, server)]
        connection = lab.packets().connections(port=7002)[-1]
    ways = connection.from_client, connection.from_server
    record = {"said": said, "arrived": [way.bytes for way in ways]}
    return record if variant == "fixed" else record | {"full": [way.zero_windows > 0 for way in ways]}


def check(record):
    assert record["broken"]["said"] == ["stuck in sendall"] * 2
    assert record["broken"]["full"] == [True, True], "both receive buffers were full"
    assert len(record["broken"]["arrived"]) == 2
    assert all(0 < arrived < SIZE for arrived in record["broken"]["arrived"])
    assert record["fixed"]["said"] == [f"received {SIZE}"] * 2
    assert record["fixed"]["arrived"] == [SIZE, SIZE]
