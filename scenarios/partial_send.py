"""send() takes a part: the program ignores how much, and the rest is lost.

send() returns how many bytes the kernel took. On a blocking socket Linux takes all, which hides the mistake;
on a non-blocking socket, and on every socket with a timeout, it takes what fits into the send buffer just
now. A quick link empties the buffer while send() still fills it, and a megabyte may get through: it works on
the desk. Here the link is slow (16 Mbit/s). The program goes on as if all had been sent, and the receiver
gets the beginning:

    message       [████████████████████████████████████████]  1,048,576 bytes
    send() took   [███░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░]  the return value says so; nobody looked

sendall() sends again and again until all is taken. A non-blocking program does that itself: it keeps the
rest, and sends it when the socket is writable (select, or asyncio's drain).
"""

SIZE = 1 << 20
SERVER = """
import socket
with socket.create_server(("", 7020)) as listener:
    print("listening on 7020", flush=True)
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as file:
        print(len(file.read()), flush=True)
"""
BROKEN = f"""
import socket
with socket.create_connection(("server", 7020), timeout=20) as stream:
    print(stream.send(bytes({SIZE})))
"""
FIXED = f"""
import socket
with socket.create_connection(("server", 7020), timeout=20) as stream:
    print(stream.sendall(bytes({SIZE})))
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with (
        lab.link.impaired(rate=16e6, direction="to-servers", verify=False),
        lab.server.start_python(SERVER) as server,
    ):
        client = lab.client.python(program)
        server.wait()
    received = int(server.lines[-1])
    return {"returned": client.stdout.strip(), "received": received, "exit_code": client.exit_code}


def check_broken(record):
    """Only what send() took arrives; it said how much, and no error shows."""
    assert 0 < record["received"] < SIZE, "one send took all of it: this shows nothing"
    assert record["returned"] == str(record["received"]), "it did say so"
    assert record["exit_code"] == 0, "no error shows"


def check_fixed(record):
    """sendall() goes on until all is taken, and all of it arrives."""
    assert record["received"] == SIZE
    assert record["returned"] == "None", "sendall has nothing to say: it raises, or all is taken"
    assert record["exit_code"] == 0
