"""No question asked: a remote-command server runs any command from anyone.

Everyone who can reach an open port can use it. The broken server takes the first line as a command, and a
stranger gets the same answer as the owner. The fixed server authenticates the client first: it sends a
challenge that was never used before, and continues only if the answer is the HMAC of the challenge under a
shared secret. The secret itself never crosses the network, and an overheard answer is worthless, because the
next challenge is a different one.

    client                         server
      │ ◀──────────── challenge ──   16 random bytes
      │ ── HMAC(secret, challenge) ▶ compare_digest: takes the same time for every wrong answer
      │ ── command ───────────────▶  only now

A bind address and an allow list help too, but an address proves nothing. The command itself still travels
unencrypted; use SSH for that.
"""

NEEDS = ("hostname",)
BROKEN = """
import socket, subprocess
with socket.create_server(("", 7060)) as listener:
    print("listening on 7060", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as file:
            command = file.readline()
            connection.sendall(subprocess.run(command, shell=True, stdout=subprocess.PIPE).stdout)
"""
FIXED = """
import hmac, secrets, socket, subprocess
def serve(connection, file):
    connection.settimeout(5)
    challenge = secrets.token_bytes(16)
    connection.sendall(challenge.hex().encode() + b"\\n")
    expected = hmac.digest(b"between us", challenge, "sha256").hex()
    if hmac.compare_digest(file.readline().strip(), expected.encode()):
        command = file.readline()
        if command.endswith(b"\\n"):  # an incomplete command is another command
            connection.sendall(subprocess.run(command, shell=True, stdout=subprocess.PIPE).stdout)

with socket.create_server(("", 7060)) as listener:
    print("listening on 7060", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as file:
            try:
                serve(connection, file)
            except OSError as error:  # the client has left, or is too slow
                print(error, flush=True)
"""
CLIENT = """
import hmac, socket, sys
who = sys.argv[1]
with socket.create_connection(("server", 7060), timeout=5) as connection:
    stream = connection.makefile("rwb", 0)
    if who != "anybody":
        challenge = bytes.fromhex(stream.readline().decode())
        print(challenge.hex(), file=sys.stderr)
        secret = b"between us" if who == "owner" else b"a guess"
        proof = sys.argv[2] if who == "eavesdropper" else hmac.digest(secret, challenge, "sha256").hex()
        print(proof, file=sys.stderr)
        stream.write(proof.encode() + b"\\n")
    try:
        stream.write(b"hostname\\n")
        print(stream.readline().decode().strip() or "refused")
    except ConnectionError:
        print("refused")
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with lab.server.start_python(program):
        if variant == "broken":
            return {"anybody": client(lab, "anybody").stdout}
        owner, stranger = client(lab, "owner"), client(lab, "stranger")
        challenge, overheard = owner.stderr.split()
        eavesdropper = client(lab, "eavesdropper", overheard)
    answers = {"owner": owner.stdout, "stranger": stranger.stdout, "eavesdropper": eavesdropper.stdout}
    return {"answers": answers, "new_challenge": challenge not in eavesdropper.stderr}


def client(lab, *who):
    return lab.client.python(CLIENT, *who, check=True)


def check_broken(record):
    """The command of any client is run: the server doesn't ask who it is."""
    assert record["anybody"] == "win10\n"


def check_fixed(record):
    """Only the owner's command is run; neither a guess nor an overheard answer helps."""
    assert record["answers"] == {"owner": "win10\n", "stranger": "refused\n", "eavesdropper": "refused\n"}
    assert record["new_challenge"] is True, "the challenge was reused: an overheard answer would be accepted"
