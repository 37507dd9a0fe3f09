"""Connecting fails in four ways: refused, reset, timed out, unreachable.

A program sees a number: connect_ex returns it, connect raises it as OSError.errno. What happened on the
way is in the packets, and the lab's diagnosis reads it there:

    refused       SYN ──▶  ◀── RST            the host is there, nothing listens on the port
    reset         handshake, then ◀── RST     somebody accepted, and hung up
    timed out     SYN ──▶ ✗   SYN ──▶ ✗       the link is cut: no answer of any kind
    unreachable   SYN ──▶  ◀── ICMP           a router knows no way there
"""

import time

KNOCK = """
import errno, socket, sys
knock = socket.socket()
knock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)  # ms; else it tries for two minutes
code = knock.connect_ex((sys.argv[1], 8001))
print("connect_ex:", errno.errorcode.get(code, code))
if code == 0:
    knock.recv(1)
sys.exit(1 if code else 0)
"""
HANGS_UP = """
import socket, struct
listener = socket.create_server(("", 8001))
print("listening on 8001", flush=True)
connection, _ = listener.accept()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
connection.close()  # a linger of 0 seconds: RST instead of FIN
"""


def run(lab):
    lab.client.put(KNOCK, "/tmp/knock.py")
    lab.server.put(HANGS_UP, "/tmp/hangs_up.py")
    record = {"refused": knock(lab, lab.server.address)}
    with lab.server.start("python3 /tmp/hangs_up.py"):
        record["reset"] = knock(lab, lab.server.address)
    with lab.link.partitioned():
        record["timed out"] = knock(lab, lab.server.address)
    record["unreachable"] = knock(lab, "10.99.99.99")
    return record


def knock(lab, address):
    began = time.time()
    client = lab.client.run(["python3", "/tmp/knock.py", address])
    (attempt,) = [c for c in lab.packets().connections(8001) if c.started >= began]
    return {
        "program": client.lines + client.stderr.splitlines()[-1:],
        "syn": [attempt.from_client.syns > 1, attempt.from_client.syns_arrived],
        "packets": [attempt.handshake, attempt.reset_by, attempt.unreachable],
        "diagnosis": lab.diagnosis(began).text,
    }


def check(record):
    assert list(record) == ["refused", "reset", "timed out", "unreachable"]
    refused, reset, timed_out, unreachable = record.values()
    assert refused["program"] == ["connect_ex: ECONNREFUSED"]
    assert refused["syn"] == [False, 1], "one, and it got through"
    assert refused["packets"] == ["refused", "win10", ""]
    assert "nothing listens" in refused["diagnosis"]

    assert reset["program"][0] == "connect_ex: 0"
    assert reset["program"][1:] == ["ConnectionResetError: [Errno 104] Connection reset by peer"]
    assert reset["syn"] == [False, 1]
    assert reset["packets"] == ["complete", "win10", ""]
    assert "win10 reset the connection" in reset["diagnosis"]

    assert timed_out["program"] == ["connect_ex: ETIMEDOUT"]
    assert timed_out["syn"] == [True, 0], "sent again and again, and none came out of the router"
    assert timed_out["packets"] == ["unanswered", "", ""]
    assert "partition" in timed_out["diagnosis"]

    assert unreachable["program"] == ["connect_ex: ENETUNREACH"]
    assert unreachable["syn"] == [True, 0]
    assert unreachable["packets"] == ["unanswered", "", "ICMP network unreachable"]
    assert "10.99.99.99 is no host of the lab" in unreachable["diagnosis"]
