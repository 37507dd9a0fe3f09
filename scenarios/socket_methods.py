"""The methods of a socket: what each of them does, as both hosts and the packets show it.

Five short programs (scenarios/programs/methods_*.py) call every method on one host, and the other host
observes the effect:

    server                                 client
    bind ─ listen ─ accept        ◀─────── bind ─ connect, connect_ex
    recv, recv_into, makefile     ◀─────── send, sendall, sendfile
    recvfrom                      ◀─────── sendto, setsockopt
    settimeout, setblocking, fileno        silence, and then a message
    the end of the stream         ◀─────── shutdown, close, detach

Four facts are often a surprise. The kernel completes the handshake for a listening socket: connect() returns
before anyone calls accept(). send() may accept a part of the data, and returns how much; sendall() sends
everything and returns None. A timeout belongs to one socket: the socket that accept() returns doesn't inherit
the listener's. And a connection ends in three ways: after shutdown(SHUT_WR) an answer still arrives; after
close() and detach() the object can't be used any more, but detach() leaves the connection to the owner of the
file descriptor.
"""

import tomllib
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
MUST_BE_SEEN = tomllib.loads((PROGRAMS / "socket_methods.toml").read_text(encoding="utf-8"))
ACTS = OPENING, STREAM, DATAGRAMS, WAITING, CLOSING = [
    "\n" + (PROGRAMS / f"methods_{act}.py").read_text(encoding="utf-8")
    for act in ("opening", "stream", "datagrams", "waiting", "closing")
]


def run(lab):
    told = []
    for program in ACTS:
        with lab.server.start_python(program, "server") as server:
            client = lab.client.python(program, "client", check=True)
            server.wait()
        told += [("win10", line) for line in server.lines] + [("kali", line) for line in client.lines]
    told += [("packets", f"{method}: {what}") for method, what in packets(lab.packets())]
    return {"methods": rows(told, lab.packets().names)}


def packets(traffic):
    def labels(port):
        return [p.label for p in traffic.seen("servers") if port in (p.sport, p.dport)]

    yield "bind", ", ".join(labels(7041)[:2])
    yield "connect", ", ".join(labels(7042)[:3])
    yield "listen", f"handshake {traffic.connections(7041)[1].handshake}"
    yield "connect_ex", ", ".join(labels(7049)[:2])
    yield "getsockopt", ", ".join(labels(7049)[2:])
    sizes = [f"{p.length} bytes" for p in traffic.seen("servers", dport=7043) if p.length]
    yield "recv", sizes[0]
    yield "recv_into", sizes[1]
    yield "makefile", ", ".join(sizes[2:4])
    yield "sendto", labels(7044)[0]
    near, far = (traffic.seen(segment, dport=7044)[-1].ttl for segment in ("clients", "servers"))
    yield "setsockopt", f"TTL {near}, and {far} past the router"
    for method, c in zip(("shutdown", "close", "detach"), traffic.connections(7047), strict=True):
        back = [p for p in traffic.seen("clients", sport=7047, dport=c.client_address.port) if p.length]
        order = "after" if all(p.at > c.from_client.fin_at for p in back) else "before"
        yield method, f"{c.closed_first} sends FIN, {c.from_server.bytes} bytes come back {order} it"


def rows(told, names):
    """The observations of each method, by the place where they were made.

    A line begins with its method. Names replace the addresses, which differ from lab to lab.
    """
    seen = {}
    for where, line in told:
        method, colon, what = line.partition(": ")
        if colon:
            for address, name in names.items():
                what = what.replace(address, name)
            row = seen.setdefault(method, {})
            row[where] = f"{row[where]}; {what}" if where in row else what
    return seen


def check(record):
    assert set(record["methods"]) == set(MUST_BE_SEEN)
    for method, seen in MUST_BE_SEEN.items():
        assert record["methods"][method] == seen, f"{method}: {record['methods'][method]}"
