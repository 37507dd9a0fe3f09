"""One "can't connect" for four causes: refused, reset, timed out, unreachable.

Each cause needs a different remedy, so a program has to report which one it was. The kernel has a number for
each: connect_ex() returns it, and connect() raises it as OSError.errno. The packets show what happened on the
way, and the lab's diagnosis is based on them:

    ECONNREFUSED   SYN ──▶  ◀── RST           the host is up, but nothing listens on the port
    ECONNRESET     handshake, then ◀── RST    the server exited before it accepted the connection
    ETIMEDOUT      SYN ──▶ ✗   SYN ──▶ ✗      no answer at all: here the link is cut
    ENETUNREACH    SYN ──▶  ◀── ICMP          a router has no route to the address

The reset comes after connect_ex() has returned 0: the kernel completed the connection, and recv() fails.
"""

import time
from functools import partial

BROKEN = """
import socket, sys
with socket.socket() as stream:
    stream.settimeout(10)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)  # ms; else about two minutes
    try:
        stream.connect((sys.argv[1], 8001))
        print("connected", flush=True)
        stream.recv(1)
    except OSError:
        sys.exit("can't connect")
"""
FIXED = """
import errno, socket, sys
with socket.socket() as stream:
    stream.settimeout(10)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)  # ms; else about two minutes
    code = stream.connect_ex((sys.argv[1], 8001))
    if code:
        sys.exit(errno.errorcode[code])
    print("connected", flush=True)
    stream.recv(1)
"""
NEVER_ACCEPTS = """
import socket
with socket.create_server(("", 8001)):
    print("listening on 8001", flush=True)
    input()
"""


def run(lab, variant):
    program, here = {"broken": BROKEN, "fixed": FIXED}[variant], lab.server.address
    knock = partial(lab.client.start_python, program, announce="")
    began = time.time()
    with lab.server.start_python(NEVER_ACCEPTS) as server, knock(here, announce="connected") as reset:
        server.stop()
        reset.wait()
    with knock(here) as refused:
        refused.wait()
    diagnosis = [lab.diagnosis(began).text]
    began = time.time()
    with lab.link.partitioned(verify=False), knock(here) as timed_out, knock("10.99.99.99") as unreachable:
        timed_out.wait(), unreachable.wait()
    diagnosis += [lab.diagnosis(began).text]
    clients = refused, reset, timed_out, unreachable
    return {"said": [client.result.stderr.splitlines()[-1] for client in clients], "diagnosis": diagnosis}


def check_broken(record):
    """Four causes, but it always says "can't connect", even after the connection was made."""
    assert record["said"] == ["can't connect"] * 4
    check_causes(record["diagnosis"])


def check_fixed(record):
    """Each cause has its own error, and the packets show the cause."""
    reset = "ConnectionResetError: [Errno 104] Connection reset by peer"
    assert record["said"] == ["ECONNREFUSED", reset, "ETIMEDOUT", "ENETUNREACH"]
    check_causes(record["diagnosis"])


def check_causes(diagnosis):
    assert len(diagnosis) == 2
    assert "was answered with RST, because nothing listen" in diagnosis[0]
    assert "win10 reset the connection" in diagnosis[0]
    assert "to win10:8001: they reached the router and none left it" in diagnosis[1]
    assert "10.99.99.99 is no host of the lab" in diagnosis[1]
