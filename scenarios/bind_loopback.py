"""A server on 127.0.0.1: it answers on its own host, and refuses every other.

bind() chooses the address on which the kernel accepts connections. 127.0.0.1 is each host's own loopback
address. A test on the same machine therefore succeeds, and the first client on another host is refused, as if
no server were running:

    client ── SYN to 172.28.66.163:7011 ──▶ server   nobody listens there: the server has 127.0.0.1:7011
    client ◀───────────── RST ───────────── server   ConnectionRefusedError (WinError 10061)

Bind to 0.0.0.0 (or ""), which means every IPv4 address of the host, or to its address on one segment. For a
service that no other host should reach, 127.0.0.1 is right.
"""

BROKEN = """
import socket
with socket.create_server(("127.0.0.1", 7011)) as listener:
    print("listening on 7011", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall("欢迎\\n".encode())
"""
FIXED = """
import socket
with socket.create_server(("0.0.0.0", 7011)) as listener:
    print("listening on 7011", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall("欢迎\\n".encode())
"""
VISIT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 7011), timeout=5) as stream:
        print(stream.makefile(encoding="utf-8").readline().strip())
except OSError as error:
    print(type(error).__name__)
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with lab.server.start_python(program):
        sockets = lab.server.run("ss --no-header --tcp --listening --numeric 'sport = :7011'", check=True)
        own, other = lab.server.python(VISIT, "127.0.0.1"), lab.client.python(VISIT, "server")
    return {
        "listens_on": sockets.stdout.split()[3],
        "on_its_own_host": own.lines,
        "from_the_other": other.lines,
        "handshake": lab.packets().connections(7011)[-1].handshake,
    }


def check_broken(record):
    """Its own host gets an answer; the other host is refused with RST."""
    assert record["listens_on"] == "127.0.0.1:7011"
    assert record["on_its_own_host"] == ["欢迎"], "its own host doesn't show the mistake"
    assert record["from_the_other"] == ["ConnectionRefusedError"]
    assert record["handshake"] == "refused"


def check_fixed(record):
    """Both hosts get an answer."""
    assert record["listens_on"] == "0.0.0.0:7011"
    assert record["on_its_own_host"] == record["from_the_other"] == ["欢迎"]
    assert record["handshake"] == "complete"
