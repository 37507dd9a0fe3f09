"""Both send before they read: full buffers, and both wait for ever.

sendall() returns when the kernel has accepted all the data, and the kernel accepts only what fits into its
own send buffer and the peer's receive buffer. If both ends send first and read afterwards, neither reads, all
four buffers fill up, and each sendall() waits for the other end's recv(). That is a deadlock:

    client                      full                full             server
    sendall() ──────────▶ [ send buffer  ] ───▶ [receive buffer]     recv() comes later
    recv() comes later    [receive buffer] ◀─── [ send buffer  ] ◀── sendall()

Small messages hide the mistake. Reading while writing, here in a thread, avoids it. (The timeout is only
there so that the broken program terminates. Each "ACK probe" in the picture is a window probe: the sender
asks whether the receive buffer has room again.)
"""

SIZE = 4 << 20
BROKEN = f"""
import socket, sys
if sys.argv[1] == "server":
    listener = socket.create_server(("", 7002))
    print("listening on 7002", flush=True)
    stream, _ = listener.accept()
else:
    stream = socket.create_connection(("server", 7002))
stream.settimeout(1)

def read():
    print("received", len(stream.makefile("rb").read({SIZE})), flush=True)

try:
    stream.sendall(bytes({SIZE}))
    read()
except TimeoutError:
    print("stuck in sendall", flush=True)
sys.stdin.read()  # stays connected until both have printed their result
"""
FIXED = f"""
import socket, sys, threading
if sys.argv[1] == "server":
    listener = socket.create_server(("", 7002))
    print("listening on 7002", flush=True)
    stream, _ = listener.accept()
else:
    stream = socket.create_connection(("server", 7002))
stream.settimeout(1)

def read():
    print("received", len(stream.makefile("rb").read({SIZE})), flush=True)

reader = threading.Thread(target=read)
reader.start()
try:
    stream.sendall(bytes({SIZE}))
    reader.join()
except TimeoutError:
    print("stuck in sendall", flush=True)
sys.stdin.read()  # stays connected until both have printed their result
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    end = {"broken": "stuck", "fixed": "received"}[variant]
    with (
        lab.server.start_python(program, "server") as server,
        lab.client.start_python(program, "client", announce="") as client,
    ):
        said = [host.wait_for_line(end) for host in (client, server)]
        if variant == "fixed":
            return {"said": said}
        connection = lab.packets().connections(7002)[-1]
    ways = connection.from_client, connection.from_server
    return {"said": said, "arrived": [w.bytes for w in ways], "full": [w.zero_windows > 0 for w in ways]}


def check_broken(record):
    """Both are stuck in sendall: each waits for the other one to read."""
    assert record["said"] == ["stuck in sendall"] * 2
    assert record["full"] == [True, True], "both receive buffers were full"
    assert [0 < arrived < SIZE for arrived in record["arrived"]] == [True, True]


def check_fixed(record):
    """Both read while they send, and both receive all the data."""
    assert record["said"] == [f"received {SIZE}"] * 2
