"""One of two servers dies behind a load balancer: every second request fails, or none does.

A load balancer accepts the clients' connections and opens a connection of its own for each request, to each
server in turn. A server without power doesn't refuse the connection. It doesn't answer at all, and the
balancer waits for its timeout. The answer to the client depends on the balancer's next step:

    once    web-1 200   web-2 503 after 0.5 s   web-1 200   web-2 503 …
    again   web-1 200   web-1 200 after 0.5 s   web-1 200 after 0.5 s …

With `retries 1` and `option redispatch`, a request that can't be sent to one server is sent to the other
one, so the client notices a delay but no error. The balancer repeats a request only if no server has
accepted it: otherwise an order might be processed twice. With `check` as well, it connects to each server
at intervals and leaves out those that don't answer: then the delay is gone, too. The balancer is HAProxy as
Debian packages it, in a container of its own; topologies/load-balancer/haproxy.cfg has its two ports: `once`
without these options, `again` with them.
"""

TOPOLOGY = "load-balancer"
WEB = """
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(socket.gethostname().encode())

server = HTTPServer(("", 7066), Page)
print("listening on 7066", flush=True)
server.serve_forever()
"""
CLIENT = """
import sys, time, urllib.error, urllib.request
for _ in range(6):
    started = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://balancer:{sys.argv[1]}/", timeout=5) as answer:
            print(answer.status, answer.read().decode(), end=" ")
    except urllib.error.HTTPError as error:
        print(error.code, end=" ")
    print("after", round(time.monotonic() - started, 3))
"""
PORTS = {"once": "8081", "again": "8082"}  # as in haproxy.cfg


def run(lab):
    with lab["web-1"].start_python(WEB), lab["web-2"].start_python(WEB):
        before = {name: ask(lab, port) for name, port in PORTS.items()}
        with lab["web-2"].without_power():
            after = {name: ask(lab, port) for name, port in PORTS.items()}
    return {"before": before, "after": after}


def ask(lab, port):
    lines = [line.partition(" after ") for line in lab.client.python(CLIENT, port, check=True).lines]
    return {
        "answers": sorted(answer for answer, _, _ in lines),
        "late": sum(float(seconds) >= 0.5 for _, _, seconds in lines),
    }


def check(record):
    both = {"answers": ["200 web-1"] * 3 + ["200 web-2"] * 3, "late": 0}
    assert record["before"] == {"once": both, "again": both}
    late = record["after"]["again"]["late"]
    assert record["after"] == {
        "once": {"answers": ["200 web-1"] * 3 + ["503"] * 3, "late": 3},
        "again": {"answers": ["200 web-1"] * 6, "late": late},
    }
    assert late >= 3, "no request was meant for the other server"
