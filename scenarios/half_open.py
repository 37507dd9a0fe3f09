"""The peer's cable is pulled: no FIN, no RST, and recv waits for ever.

A connection is two memories of it, one on each host. When the peer vanishes, ours stays ESTABLISHED: nothing
comes, and nothing says so. A program that only reads would never know. Keepalive asks the peer every so often
and gives up after some unanswered questions; TCP_USER_TIMEOUT does the same for data that is never
acknowledged.
"""

SERVER = """
import socket
with socket.create_server(("", 7003)) as listener:
    print("listening on 7003", flush=True)
    connections = [listener.accept()[0] for _ in range(2)]
    input()
"""
CLIENT = """
import socket, sys
stream = socket.create_connection(("server", 7003), timeout=5)
if sys.argv[1] == "fixed":
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
stream.settimeout(float(sys.argv[2]))
print("connected", flush=True)
try:
    stream.recv(1)
except TimeoutError as error:  # with an errno it comes from the kernel; without it is our own patience
    print("ETIMEDOUT" if error.errno else "still waiting")
"""


def run(lab):
    with lab.server.start(["python3", "-c", SERVER]):
        # The kernel takes three seconds to find out; the one who never asks waits for six and knows nothing.
        broken = lab.client.start(["python3", "-c", CLIENT, "broken", "6"], announce="connected")
        fixed = lab.client.start(["python3", "-c", CLIENT, "fixed", "20"], announce="connected")
        with broken as broken, fixed as fixed, lab.server.cable_pulled():
            said = {"fixed": fixed.wait(25).lines[-1], "broken": broken.wait(25).lines[-1]}
            connections = lab.packets().connections(port=7003)
    return {**said, "peer_closed": [c.closed_first == "win10" for c in connections]}


def check(record):
    assert record["broken"] == "still waiting", "something told it"
    assert record["fixed"] == "ETIMEDOUT"
    assert record["peer_closed"] == [False, False], "the peer said that it goes"
