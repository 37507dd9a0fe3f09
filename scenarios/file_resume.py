"""An interrupted transfer resumes at the point where it stopped.

The link is partitioned during a transfer. The sender gives up at its deadline, and the file doesn't appear on
the receiver, neither complete nor in part. The link is healed, and the server sees the end of the connection
and unlocks its partial file. Then the same command asks how much has arrived, compares digests to make sure
that both ends have the same bytes, and sends the rest.
"""

SIZE = 16 << 20
# What has arrived so far, under its hidden name.
STORED = "$(cat /tmp/files/.transfer-* 2>/dev/null | wc -c)"
# The server keeps the partial file locked until it sees the end of the first connection.
ENDED = "[ -z \"$(ss -Htn state established state close-wait 'sport = :20001')\" ]"
PUT = "lab-transfer put --timeout 1 --json server /tmp/resumed"


def run(lab):
    lab.client.run(f"head -c {SIZE} /dev/urandom > /tmp/resumed", check=True)
    lab.server.run("rm -rf /tmp/files; mkdir /tmp/files", check=True)
    with lab.server.start("lab-transfer serve --root /tmp/files --port 20001"):
        lab.link.set(rate=100e6, direction="to-servers", verify=False)
        with lab.client.start(PUT, announce="") as cut:
            lab.server.run(f"until [ $(({STORED})) -gt {SIZE // 4} ]; do sleep 0.05; done", check=True)
            lab.link.partition(verify=False)
            first = cut.wait()
        there = lab.server.run("ls /tmp/files").lines
        lab.link.clear()
        lab.server.run(f"until {ENDED}; do sleep 0.05; done", check=True)
        second = lab.client.run(PUT, timeout=60)
    connections = [c for c in lab.packets().connections(port=20001) if c.from_client.sent > 1 << 20]
    return {
        "first_exit_code": first.exit_code,
        "visible_between": there,
        "second_exit_code": second.exit_code,
        "resumed_from": [m["resumed_from"] for m in second.messages if m["event"] == "stored"],
        "bytes_sent": [connection.from_client.sent for connection in connections],
        "sent": lab.client.run("sha256sum < /tmp/resumed").stdout,
        "stored": lab.server.run("sha256sum < /tmp/files/resumed").stdout,
    }


def check(record):
    assert record["first_exit_code"] in (1, 4)
    assert record["visible_between"] == [], "an incomplete file was visible"
    assert record["second_exit_code"] == 0
    assert len(record["resumed_from"]) == 1
    (resumed_from,) = record["resumed_from"]
    assert resumed_from >= SIZE // 4 - (2 << 20)
    assert len(record["bytes_sent"]) == 2
    assert record["bytes_sent"][0] >= resumed_from, (
        "the first connection sent the part that the second one left out"
    )
    rest = SIZE - resumed_from
    assert rest <= record["bytes_sent"][1] < rest + (1 << 20), "the bytes before the cut were sent again"
    assert len(record["sent"]) == 68
    assert record["sent"] == record["stored"]
