"""Answers stick together: the tail of one is taken for the beginning of the next.

A remote command line sends its answers without framing, and its client calls recv(1024) for "the answer". An
answer of 3,893 bytes exceeds that, and its rest stays in the stream, which has no message boundaries. The
next recv, meant for the next command, reads that rest. From then on every answer is one command late:

    the stream            1 2 3 … 282 283 284 285 … 539 540 … 999 1000 done
    broken, recv(1024)   └── answer 1 ──┘└── answer 2 ─┘└── answer 3 …
    fixed, frames        └─────────────── answer 1 ──────────────────┘└ 2 ─┘

A larger number for recv only moves the limit. Frames solve the problem: send the length of each message first
(here in four bytes), and read exactly that many bytes. Commands need frames as well: a long one arrives in
pieces, and two short ones may arrive together.

On a lab with the profile windows the long answer is the output of ipconfig /all, about 1,300 bytes of GBK.
"""

import ast
import hashlib

LONG = {"linux": "seq 1000", "windows": "wine cmd /c ipconfig /all"}
RAW = """
def send(stream, message):
    stream.sendall(message)

def receive(stream):
    if not (data := stream.recv(1024)):
        raise EOFError
    return data
"""
FRAMES = """
def send(stream, message):
    stream.sendall(len(message).to_bytes(4, "big") + message)

def receive(stream):
    return read(stream, int.from_bytes(read(stream, 4), "big"))

def read(stream, size):
    data = b""
    while len(data) < size:
        if not (piece := stream.recv(size - len(data))):
            raise EOFError
        data += piece
    return data
"""
SERVER = """
with socket.create_server(("", 7016)) as listener:
    print("listening on 7016", flush=True)
    connection, _ = listener.accept()
    connection.settimeout(20)
    with connection, contextlib.suppress(EOFError):
        while True:
            command = receive(connection)
            send(connection, subprocess.run(command, shell=True, stdout=subprocess.PIPE).stdout)
"""
CLIENT = """
with socket.create_connection(("server", 7016), timeout=20) as stream:
    for command in sys.argv[1:]:
        send(stream, command.encode())
        print(repr(receive(stream).decode("gbk", errors="replace")))
"""
BROKEN_SERVER = f"\nimport contextlib, socket, subprocess\n{RAW}{SERVER}"
FIXED_SERVER = f"\nimport contextlib, socket, subprocess\n{FRAMES}{SERVER}"
BROKEN_CLIENT = f"\nimport socket, sys\n{RAW}{CLIENT}"
FIXED_CLIENT = f"\nimport socket, sys\n{FRAMES}{CLIENT}"


def run(lab, variant):
    server, client, alone = {
        "broken": (BROKEN_SERVER, BROKEN_CLIENT, "head -c 2048 | iconv -f gbk -t utf-8"),
        "fixed": (FIXED_SERVER, FIXED_CLIENT, "sha256sum"),
    }[variant]
    long = LONG[lab.server.platform]
    with lab.server.start_python(server):
        said = lab.client.python(client, long, "echo done", check=True).lines
    truth = lab.server.ask(f"{long} | {alone}").stdout
    return {"answers": [ast.literal_eval(line) for line in said], "alone": truth}


def check_broken(record):
    """The answer to the second command is the rest of the first answer."""
    assert [answer != "" for answer in record["answers"]] == [True, True]
    first, second = record["answers"]
    long = record["alone"].encode("gbk")
    assert first == long[:1024].decode("gbk", errors="replace")
    rest = long[1024:].decode("gbk", errors="replace")
    assert rest.startswith(second), "the second answer belongs to the first command"


def check_fixed(record):
    """Each command gets its own answer, complete."""
    assert record["answers"][1:] == ["done\n"]
    long = record["answers"][0].encode("gbk")
    assert len(long) > 1024
    assert record["alone"] == hashlib.sha256(long).hexdigest() + "  -\n"
