"""Fifty clients at once: a thread for each serves them together, an iterative server one by one.

Both servers answer every client correctly in the end. The difference is who waits: the iterative server calls
accept() again only after its client has left. Until then the other clients are in its backlog: the kernel has
completed their connections, but nobody answers.
"""

SEND = "lab-echo send --mode upper --port 8000 --json"
CLIENTS, MESSAGES = 50, 2


def run(lab):
    return {io_model: crowd(lab, io_model) for io_model in ("threaded", "blocking")}


def crowd(lab, io_model):
    hold = "--hold" if io_model == "threaded" else ""  # every client stays until all are answered
    with lab.server.start(f"lab-echo serve --mode upper --io {io_model} --port 8000 --json") as server:
        clients = lab.client.run(f"{SEND} --connections {CLIENTS} --messages {MESSAGES} {hold} server")
    report = clients.messages[-1]
    return {
        "opened": report["opened"],
        "answered": report["answered"],
        "failures": report["failures"],
        "at_once": most_at_once(server.messages),
        "exit_codes": [clients.exit_code, server.result.exit_code],
    }


def most_at_once(messages):
    """The largest number of clients served at the same time, according to the server's own messages."""
    serving = most = 0
    for message in messages:
        serving += {"connected": 1, "closed": -1}.get(message["event"], 0)
        most = max(most, serving)
    return most


def check(record):
    for io_model in ("threaded", "blocking"):
        assert record[io_model]["opened"] == CLIENTS
        assert record[io_model]["answered"] == CLIENTS * MESSAGES
        assert record[io_model]["failures"] == 0
        assert record[io_model]["exit_codes"] == [0, 0]
    assert record["threaded"]["at_once"] == CLIENTS
    assert record["blocking"]["at_once"] == 1, "an iterative server served two clients at a time"
