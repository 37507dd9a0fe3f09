"""send() takes a part: the program ignores how much, and the rest is lost.

send() returns the number of bytes that the kernel accepted. On a blocking socket Linux accepts all of them,
which hides the mistake. On a non-blocking socket, and on every socket with a timeout, it accepts only what
fits into the send buffer at that moment. A fast link empties the buffer while send() is still filling it, and
a whole megabyte may get through: the program works on the developer's desk. Here the link is slow
(16 Mbit/s). The program continues as if all data had been sent, and the receiver gets the beginning only:

    message       [████████████████████████████████████████]  1,048,576 bytes
    send() took   [███░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░]  it returned this number; the program ignored it

sendall() repeats the call until the kernel has accepted everything. A non-blocking program has to do that
itself: it keeps the rest, and sends it when the socket is writable (select, or asyncio's drain).
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
    """Only the part that send() accepted arrives; it returned the number, and there was no error."""
    assert 0 < record["received"] < SIZE, "one send accepted everything: this shows nothing"
    assert record["returned"] == str(record["received"]), "send() returned how much it accepted"
    assert record["exit_code"] == 0, "there was an error"


def check_fixed(record):
    """sendall() continues until the kernel has accepted everything, and all of it arrives."""
    assert record["received"] == SIZE
    assert record["returned"] == "None", "sendall() returns None, or raises"
    assert record["exit_code"] == 0
