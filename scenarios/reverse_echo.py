"""Reverse echo: each line comes back with its characters reversed, until "quit".

A session is many messages over one connection. The server is iterative: it serves one client to the end
before it calls accept() again, and the same server then serves the second client. It reverses characters, not
bytes: 上海 becomes 海上, because the server decodes the bytes that it receives first.
"""

SERVE = "lab-echo serve --mode reverse --port 20000 --json"
SEND = "lab-echo send --mode reverse --port 20000 --json server"
FIRST, SECOND = ["hello", "上海自来水", "a b  c"], ["second client"]


def run(lab):
    with lab.server.start(SERVE) as server:
        first = lab.client.run([*SEND.split(), *FIRST, "quit"])
        second = lab.client.run([*SEND.split(), *SECOND, "quit"])
        server.wait_for_line("1 answered")
    return {
        "first": [message["text"] for message in first.messages],
        "second": [message["text"] for message in second.messages],
        "sessions": [message["answered"] for message in server.messages if message["event"] == "closed"],
        "servers": sum(message["event"] == "listening" for message in server.messages),
        "exit_codes": [first.exit_code, second.exit_code, server.result.exit_code],
    }


def check(record):
    assert record["first"] == ["olleh", "水来自海上", "c  b a"]
    assert record["second"] == ["tneilc dnoces"]
    assert record["sessions"] == [3, 1], "each client has a session of its own"
    assert record["servers"] == 1
    assert record["exit_codes"] == [0, 0, 0]
