"""send() takes a part: the program ignores how much, and the rest is lost.

send() returns how many bytes the kernel took. On a blocking socket Linux takes all, which hides the mistake;
on a non-blocking socket, and on every socket with a timeout, it takes what fits into the send buffer just
now. The program goes on as if all had been sent, and the receiver gets the beginning:

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
    for _ in range(2):
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


def run(lab):
    with (
        lab.link.impaired(rate=16e6, direction="to-servers", verify=False),
        lab.server.start(["python3", "-c", SERVER]) as server,
    ):
        broken, fixed = (lab.client.run(["python3", "-c", program]) for program in (BROKEN, FIXED))
        server.wait()
    received = [int(line) for line in server.lines[1:]]
    returned = [program.stdout.strip() for program in (broken, fixed)]
    return {
        "broken": {"returned": returned[0], "received": received[0], "exit_code": broken.exit_code},
        "fixed": {"returned": returned[1], "received": received[1], "exit_code": fixed.exit_code},
    }


def check(record):
    broken, fixed = record["broken"], record["fixed"]
    assert 0 < broken["received"] < SIZE, "one send took all of it: this shows nothing"
    assert broken["returned"] == str(broken["received"]), "it did say so"
    assert fixed["received"] == SIZE
    assert fixed["returned"] == "None", "sendall has nothing to say: it raises, or all is taken"
    assert broken["exit_code"] == fixed["exit_code"] == 0, "no error shows"
