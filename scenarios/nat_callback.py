"""Behind address translation, an address in a message can't be reached: only headers are translated.

A home router has one public address for all hosts behind it. In each packet that leaves, it replaces the
source with its own address, and it reverses this in the answers (NAT). It translates headers, not the data. A
client that sends its own address to the server, "call me there", sends one that is only valid at home:

    broken   "call me at 172.28.1.10, port 7000"    the server has no route to that address
    fixed    "call me at port 8080"                 the server calls the address that it sees: the router's,
                                                    which forwards its port 8080 to port 7000 of the client

A router forwards a new connection from outside only if its port is configured: here port 8080. Connections to
other ports are refused. The better design needs no connection from outside: the client keeps its connection
open, and the server sends its news on it. FTP's active mode has this problem, and many games and chat
programs had it.
"""

TOPOLOGY = "nat"
SERVER = """
import socket
with socket.create_server(("", 7063)) as listener:
    print("listening on 7063", flush=True)
    connection, (seen, _) = listener.accept()
    with connection, connection.makefile() as asked:
        *host, port = asked.readline().split()
        print(seen)
        try:
            with socket.create_connection((*(host or [seen]), int(port)), timeout=5) as back:
                back.sendall(b"news")
            connection.sendall(b"delivered")
        except OSError as error:
            connection.sendall(error.strerror.encode())
"""
LISTENER = """
import socket
with socket.create_server(("", 7000)) as listener:
    print("listening on 7000", flush=True)
    connection, _ = listener.accept()
    print(connection.recv(1024).decode())
"""
BROKEN = """
import socket
with socket.create_connection(("server", 7063), timeout=20) as stream, stream.makefile() as answer:
    my_address, _ = stream.getsockname()
    stream.sendall(f"{my_address} 7000\\n".encode())
    print(answer.read())
"""
FIXED = """
import socket
with socket.create_connection(("server", 7063), timeout=20) as stream, stream.makefile() as answer:
    stream.sendall(b"8080\\n")
    print(answer.read())
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    before = len(lab.packets().connections())
    with lab.server.start_python(SERVER) as server, lab.client.start_python(LISTENER) as listener:
        client = lab.client.python(program, check=True)
        server.wait()
        if variant == "fixed":
            listener.wait()
    another_port = lab.server.run(f"nc -z -w 5 {lab.router.node.addresses[1]} 8081")
    traffic = lab.packets()
    connections = traffic.connections()[before:]
    return {
        "server_saw": traffic.names[server.lines[1]],
        "client_heard": client.lines,
        "listener_heard": listener.lines[1:],
        "connections": [[c.client, c.server, c.port, c.handshake] for c in connections],
        "another_port": another_port.exit_code,
    }


def check_broken(record):
    """The server sees the router's address, and can't reach the address in the message."""
    assert record["server_saw"] == "router"
    assert record["client_heard"] == ["Network is unreachable"]
    assert record["listener_heard"] == []
    assert record["connections"] == [ASKED, REFUSED]
    assert record["another_port"] == 1


def check_fixed(record):
    """The server calls the router, which forwards the connection to the client."""
    assert record["server_saw"] == "router"
    assert record["client_heard"] == ["delivered"]
    assert record["listener_heard"] == ["news"]
    assert record["connections"] == [ASKED, ["server", "client", 8080, "complete"], REFUSED]
    assert record["another_port"] == 1


ASKED = ["client", "server", 7063, "complete"]
REFUSED = ["server", "router", 8081, "refused"]
