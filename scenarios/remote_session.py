"""A simple remote shell: each answer is preceded by its length, so none sticks to the next one.

Length framing: 4 bytes hold the length of the answer that follows (struct 'i', little-endian). The client
knows the end of every answer, even of an empty one (`true`), and one connection carries many commands. `exit`
closes the session; the server then accepts the next client.
"""

import json

NEEDS = ("hostname",)
FIRST = ["hostname", "seq 1000", "true", "ls /nowhere", "echo 上海"]
SECOND = ["echo again"]


def run(lab):
    with lab.server.start(
        "lab-command serve --shell /bin/sh --protocol length --port 11111 --json"
    ) as server:
        first, second = session(lab, FIRST), session(lab, SECOND)
    return {
        "first": first,
        "second": second,
        "long": lab.server.run("seq 1000").stdout,
        "carried_out": [m["command"] for m in server.messages if m["event"] == "command"],
        "server_exit_code": server.result.exit_code,
    }


def session(lab, commands):
    """Plays one connection: the answer to each command, in order, and the client's exit code."""
    script = "\n".join([*commands, "exit"])
    client = lab.client.run("lab-command run --protocol length --port 11111 --json server", stdin=script)
    answers = []
    text = ""
    for message in map(json.loads, client.stdout.splitlines()):
        text += message.get("text", "")
        if message["event"] == "exit":
            answers.append(text)
            text = ""
    return {"answers": answers, "exit_code": client.exit_code}


def check(record):
    assert len(record["first"]["answers"]) == len(FIRST), "one answer per command"
    hostname, long, silent, complaint, chinese = record["first"]["answers"]
    assert hostname == "win10\n"
    assert long == record["long"]
    assert len(long) > 1024, "the answer must be longer than one recv of a naive client"
    assert silent == ""
    assert "/nowhere" in complaint
    assert chinese == "上海\n"
    assert record["second"]["answers"] == ["again\n"], "the server accepts again"
    assert record["first"]["exit_code"] == record["second"]["exit_code"] == 0
    assert record["carried_out"] == FIRST + SECOND
    assert record["server_exit_code"] == 0
