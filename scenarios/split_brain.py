"""A network splits in two, and both halves accept a write: their replicas then have different values.

Five replicas store one value. The router stops forwarding packets between two of them and the other three: a
partition. Every host still runs, and each half sees only that the other one doesn't answer. A writer that
accepts any number of answers stores a different value in each half:

    broken   alice, bob, carol: version 1 is red        dave, eve: version 1 is blue
    fixed    alice, bob, carol: version 1 is red        dave, eve: refused, only 2 of 5 answer

The fixed writer continues only if a majority answers. Any two majorities of five have a replica in common:
two halves can't both have one, and a reader that asks a majority finds the newest version. The price is that
the minority can't write until the partition has healed.

A missing answer doesn't show whether the network is slow, the network is broken or the host has no power: no
timeout can decide that. Raft and Paxos, which etcd, Consul and others use, are based on majorities too. They
also count the answers to the second message and number the writers, so that neither a partition between the
two messages nor two writers in one half do any harm.
"""

from contextlib import ExitStack

TOPOLOGY = "star"
HOSTS = ["alice", "bob", "carol", "dave", "eve"]
MINORITY = {"dave", "eve"}
REPLICA = """
import socket
version, value = 0, "nothing"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as replica:
    replica.bind(("", 7065))
    print("listening on 7065", flush=True)
    while True:
        message, sender = replica.recvfrom(1024)
        words = message.decode().split()
        if words[0] == "SET" and int(words[1]) > version:
            version, value = int(words[1]), words[2]
            print(version, value, flush=True)
        replica.sendto(f"{version} {value}".encode(), sender)
"""
ASK = """
import socket, sys
value, *replicas = sys.argv[1:]

def ask(message):
    answers = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.5)
        for replica in replicas:
            asking.sendto(message.encode(), (replica, 7065))
        try:
            while len(answers) < len(replicas):
                answers.append(asking.recv(1024).decode().split())
        except TimeoutError:
            pass
    return answers
"""
BROKEN = f"""{ASK}
newest = max(int(version) for version, _ in ask("GET"))
print("stored on", len(ask(f"SET {{newest + 1}} {{value}}")))
"""
FIXED = f"""{ASK}
answers = ask("GET")
if len(answers) <= len(replicas) / 2:
    print("refused:", len(answers), "of", len(replicas), "answer")
else:
    newest = max(int(version) for version, _ in answers)
    print("stored on", len(ask(f"SET {{newest + 1}} {{value}}")))
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with ExitStack() as stack:
        replicas = [stack.enter_context(lab[name].start_python(REPLICA)) for name in HOSTS]
        with lab.partition(set(HOSTS) - MINORITY, MINORITY) as partition:
            (majority,) = lab.alice.python(program, "red", *HOSTS, check=True).lines
            (minority,) = lab.eve.python(program, "blue", *HOSTS, check=True).lines
            dropped = partition.dropped
        (healed,) = lab.eve.python(program, "green", *HOSTS, check=True).lines
    return {
        "answers": [majority, minority, healed],
        "dropped": dropped,
        "stored": [replica.lines[1:] for replica in replicas],
    }


def check_broken(record):
    """Both halves accept a write: two values have the same version, until a later write replaces them."""
    assert record["answers"] == ["stored on 3", "stored on 2", "stored on 5"]
    assert record["dropped"] == 10, "two requests, each to all replicas of the other half"
    assert record["stored"] == [["1 red", "2 green"]] * 3 + [["1 blue", "2 green"]] * 2


def check_fixed(record):
    """The majority continues; the minority is refused until the partition has healed."""
    assert record["answers"] == ["stored on 3", "refused: 2 of 5 answer", "stored on 5"]
    assert record["dropped"] == 7, "two requests of the majority, and one of the minority"
    assert record["stored"] == [["1 red", "2 green"]] * 3 + [["2 green"]] * 2
