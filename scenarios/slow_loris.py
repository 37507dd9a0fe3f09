"""Trickling clients: a timeout for each recv isn't a deadline.

settimeout() limits a single call. A client that sends one byte now and then makes each recv() return in time
and never completes its request. If there are as many such clients as the server has threads, nobody else is
served (the attack of this name does this to web servers). The server below has two threads, and recv() may
take 0.6 s:

    slow 1  ── x ─── x ─── x ─── x ─── x ───▶ thread 1: each recv() returns in time
    slow 2  ── x ─── x ─── x ─── x ─── x ───▶ thread 2: each recv() returns in time
    honest  ── "hello" ──▶ waits for a thread

Give the whole request one absolute deadline: the time that remains is the timeout of the next recv(). Limit
the number of connections too, in total and per address.
"""

ACCEPT = """
with socket.create_server(("", 7025)) as listener, concurrent.futures.ThreadPoolExecutor(2) as threads:
    print("listening on 7025", flush=True)
    while True:
        threads.submit(serve, listener.accept()[0])
"""
BROKEN = f"""
import concurrent.futures, socket, time
def serve(connection):
    with connection:
        connection.settimeout(0.6)
        request = b""
        while not request.endswith(b"\\n"):
            if not (data := connection.recv(1024)):
                return
            request += data
        connection.sendall(request.upper())
{ACCEPT}"""
FIXED = f"""
import concurrent.futures, socket, time
def serve(connection):
    with connection:
        deadline = time.monotonic() + 0.6
        request = b""
        while not request.endswith(b"\\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            connection.settimeout(left)
            if not (data := connection.recv(1024)):
                return
            request += data
        connection.sendall(request.upper())
{ACCEPT}"""
SLOW = """
import socket, time
streams = [socket.create_connection(("server", 7025)) for _ in range(2)]
print("trickling", flush=True)
while True:
    for stream in streams:
        stream.sendall(b"x")
    time.sleep(0.02)
"""
HONEST = """
import socket
with socket.create_connection(("server", 7025), timeout=1.4) as stream:
    stream.sendall(b"hello\\n")
    print(stream.makefile().readline().strip())
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with (
        lab.server.start_python(program),
        lab.client.start_python(SLOW, announce="trickling"),
    ):
        honest = lab.client.python(HONEST)
        slow = lab.packets().connections(7025)[-3:-1]
    return {
        "answer": honest.stdout.removesuffix("\n") or honest.stderr.splitlines()[-1],
        "trickled": min(connection.from_client.bytes for connection in slow),
        "thrown_out": "win10" in [connection.closed_first for connection in slow],
    }


def check_broken(record):
    """No slow client is ever late, and the honest client never gets a thread."""
    assert record["answer"] == "TimeoutError: timed out"
    assert record["thrown_out"] is False, "each byte arrived in time"
    assert record["trickled"] >= 10, "they continued all the time"


def check_fixed(record):
    """The slow clients are disconnected at the deadline, and the honest client is answered."""
    assert [record["answer"], record["thrown_out"]] == ["HELLO", True]
    assert record["trickled"] >= 2, "it was slow, not silent"
