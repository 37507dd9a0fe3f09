"""Four ways a connection fails, and what each one looks like.

refused      the host is there and nothing listens: it answers with RST          ECONNREFUSED, at once
timed out    no answer at all: a partition, or a filter that drops               ETIMEDOUT, after a while
unreachable  a router has no way there and says so by ICMP                       ENETUNREACH or EHOSTUNREACH
reset        it was accepted, and then the peer threw it away                    ECONNRESET, at the next call

To the program they are four numbers of connect_ex(). The broken one calls all of them "can't connect"; in the
fixed one the diagnosis names the cause, from the packets.
"""

SERVER = """
import socket, struct
with socket.create_server(("", 7004)) as listener:
    print("listening on 7004", flush=True)
    connection, _ = listener.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
"""
CLIENT = """
import errno, socket, sys
stream = socket.socket()
stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)  # give up after one more try: some 3 seconds
code = stream.connect_ex((sys.argv[1], int(sys.argv[2])))
if not code:
    try:
        stream.recv(1)
    except OSError as error:
        code = error.errno
print(errno.errorcode.get(code, code))
sys.exit(code != 0)
"""


def run(lab):
    causes = {"refused": attempt(lab, lab.server.address, 7999)}
    with lab.link.partitioned(verify=False):
        causes["timed out"] = attempt(lab, lab.server.address, 7998)
    causes["unreachable"] = attempt(lab, "10.255.255.1", 7997)
    with lab.server.start(["python3", "-c", SERVER]):
        causes["reset"] = attempt(lab, lab.server.address, 7004)
    return causes


def attempt(lab, address, port):
    result = lab.client.run(["python3", "-c", CLIENT, address, str(port)])
    (connection,) = lab.packets().connections(port=port)
    return {
        "errno": result.stdout.strip(),
        "exit_code": result.exit_code,
        "handshake": connection.handshake,
        "syns": [connection.from_client.syns > 0, connection.from_client.syns_arrived > 0],
        "reset_by": connection.reset_by,
        "unreachable_from": connection.unreachable_from,
    }


EXPECTED = {
    "refused": ["ECONNREFUSED", "refused", [True, True], "win10", ""],
    "timed out": ["ETIMEDOUT", "unanswered", [True, False], "", ""],
    "unreachable": ["ENETUNREACH", "unanswered", [True, False], "", "router"],
    "reset": ["ECONNRESET", "complete", [True, True], "win10", ""],
}


def check(record):
    assert set(record) == set(EXPECTED)
    for cause, seen in record.items():
        found = [seen[key] for key in ("errno", "handshake", "syns", "reset_by", "unreachable_from")]
        assert found == EXPECTED[cause], cause
        assert seen["exit_code"] == 1
