"""One thread holds a thousand connections open at once: asyncio.

A thread for each connection would need a stack each and scheduling; one event loop waits for all of them in
a single epoll. Each connection sends its own messages and gets its own answers, and the server's memory stays
bounded.
"""

SERVE = "lab-echo serve --mode upper --io async --max-clients 2000 --port 8000 --json"
SEND = "lab-echo send --mode upper --port 8000 --json"
CLIENTS, MESSAGES = 1000, 3
MAX_MEMORY = 64 << 20  # bytes; Python and asyncio alone take about a third


def run(lab):
    with lab.server.start(SERVE) as server:
        pid = lab.server.run("pgrep --full --oldest 'lab.programs.echo serve'", check=True).stdout.strip()
        clients = lab.client.run(f"{SEND} --connections {CLIENTS} --messages {MESSAGES} --hold server")
        status = lab.server.run(f"cat /proc/{pid}/status", check=True).stdout
    values = dict(line.split(":\t", 1) for line in status.splitlines())
    report = clients.messages[-1]
    return {
        "at_once": report["served_at_once"],
        "answered": report["answered"],
        "failures": report["failures"],
        "server_threads": int(values["Threads"]),
        "server_peak_memory": int(values["VmHWM"].split()[0]) * 1024,
        "exit_codes": [clients.exit_code, server.result.exit_code],
    }


def check(record):
    assert record["at_once"] == CLIENTS
    assert record["answered"] == CLIENTS * MESSAGES
    assert record["failures"] == 0
    assert record["server_threads"] == 1
    assert 0 < record["server_peak_memory"] < MAX_MEMORY
    assert record["exit_codes"] == [0, 0]
