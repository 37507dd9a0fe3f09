"""Reliable requests over UDP: a fifth of all packets is lost, and every request is answered exactly once.

UDP guarantees nothing, so the program has to: each request carries an identifier and is sent again, at
growing intervals, until its answer comes. The server remembers its answers, so that a request that arrives
twice is executed once. A late or repeated answer is dropped. TCP does this for bytes; here it is done for
messages.
"""

REQUESTS = [f"request {number}" for number in range(30)]
SEND = "lab-udp send --mode request --port 9091 --timeout 60 --retry 0.03 --json server"


def run(lab):
    lab.link.set(loss=0.2, duplication=0.3, delay=0.01, reordering=0.2)
    with lab.server.start("lab-udp serve --mode request --port 9091 --json") as server:
        client = lab.client.run(SEND, stdin="\n".join(REQUESTS), timeout=90)
    lab.link.clear()
    requests = lab.packets().datagrams(port=9091)
    return {
        "carried_out": sorted(m["text"] for m in server.messages if m["event"] == "request"),
        "answers": sorted(m["text"] for m in client.messages if m["event"] == "answer"),
        "sent": len(requests),
        "lost": sum(request.lost for request in requests),
        "duplicated": sum(request.copies for request in requests),
        "exit_codes": [client.exit_code, server.result.exit_code],
    }


def check(record):
    assert record["carried_out"] == sorted(REQUESTS), "every request is executed exactly once"
    assert record["answers"] == sorted(text.upper() for text in REQUESTS)
    assert record["lost"] > 0, "the link lost nothing: this shows nothing"
    assert record["duplicated"] > 0
    assert record["sent"] >= len(REQUESTS) + record["lost"], "a lost request wasn't sent again"
    assert record["exit_codes"] == [0, 0]
