"""Answers stick together: the tail of one is taken for the beginning of the next.

A remote command line that sends its answers raw: recv(1024) reads "the answer". An answer of 3,893 bytes
fills it, and the rest stays in the stream, which has no seams. The next recv, meant for the next command,
reads that rest; from then on each answer belongs to a question of before:

    the stream            1 2 3 … 282 283 284 285 … 539 540 … 999 1000 done
    broken, recv(1024)   └── answer 1 ──┘└── answer 2 ─┘└── answer 3 …
    fixed, frames        └─────────────── answer 1 ──────────────────┘└ 2 ─┘

A larger number for recv only moves the limit. What helps is a frame: say how long each answer is (here in
four bytes), and read exactly that much.

On a lab with the profile windows the long answer is that of ipconfig /all, about 1,300 bytes of GBK.
"""

import ast
import hashlib

LONG = {"linux": "seq 1000", "windows": "wine cmd /c ipconfig /all"}
BROKEN_SERVER = """
import socket, subprocess
with socket.create_server(("", 7016)) as listener:
    print("listening on 7016", flush=True)
    connection, _ = listener.accept()
    with connection:
        while command := connection.recv(1024):
            answer = subprocess.run(command, shell=True, stdout=subprocess.PIPE).stdout
            connection.sendall(answer)
"""
FIXED_SERVER = """
import socket, subprocess
with socket.create_server(("", 7016)) as listener:
    print("listening on 7016", flush=True)
    connection, _ = listener.accept()
    with connection:
        while command := connection.recv(1024):
            answer = subprocess.run(command, shell=True, stdout=subprocess.PIPE).stdout
            connection.sendall(len(answer).to_bytes(4, "big") + answer)
"""
BROKEN_CLIENT = """
import socket, sys
with socket.create_connection(("server", 7016), timeout=20) as stream:
    for command in sys.argv[1:]:
        stream.sendall(command.encode())
        answer = stream.recv(1024)
        print(repr(answer.decode("gbk", errors="replace")))
"""
FIXED_CLIENT = """
import socket, sys
with socket.create_connection(("server", 7016), timeout=20) as stream, stream.makefile("rb") as file:
    for command in sys.argv[1:]:
        stream.sendall(command.encode())
        answer = file.read(int.from_bytes(file.read(4), "big"))
        print(repr(answer.decode("gbk", errors="replace")))
"""


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
    """The answer to the second command is the rest of the first one's."""
    assert [answer != "" for answer in record["answers"]] == [True, True]
    first, second = record["answers"]
    long = record["alone"].encode("gbk")
    assert first == long[:1024].decode("gbk", errors="replace")
    rest = long[1024:].decode("gbk", errors="replace")
    assert rest.startswith(second), "the second answer is of the first command"


def check_fixed(record):
    """Each command gets its own answer, whole."""
    assert record["answers"][1:] == ["done\n"]
    long = record["answers"][0].encode("gbk")
    assert len(long) > 1024
    assert record["alone"] == hashlib.sha256(long).hexdigest() + "  -\n"
