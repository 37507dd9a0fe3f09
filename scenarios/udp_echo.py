"""How long may a datagram be? From nothing to 65,507 bytes; one more is refused before it leaves.

An empty datagram is a datagram: it arrives (an empty TCP send doesn't exist). 1,472 bytes fill an Ethernet
frame (1,500 minus 20 for IP and 8 for UDP). With one byte more, the kernel splits the datagram into
fragments, which the other end reassembles. 65,507 is the largest payload that fits the 16-bit length field of
an IPv4 packet; for more, sendto() fails with EMSGSIZE on the sender.
"""

SIZES = (0, 1, 1472, 1473, 65_507)
TOO_LONG = 65_508


def run(lab):
    send = "lab-udp send --mode echo --port 9090 --json"
    with lab.server.start("lab-udp serve --mode echo --port 9090 --json") as server:
        answers = [lab.client.run(f"{send} --size {size} {lab.server.address}") for size in SIZES]
        too_long = lab.client.run(f"{send} --size {TOO_LONG} {lab.server.address}")
    return {
        "answers": [[message["size"] for message in answer.messages] for answer in answers],
        "exit_codes": [answer.exit_code for answer in answers],
        "too_long_exit_code": too_long.exit_code,
        "too_long_error": "EMSGSIZE" if "EMSGSIZE" in too_long.stderr else too_long.stderr,
        "too_long_answers": len(too_long.messages),
        "server_exit_code": server.result.exit_code,
    }


def check(record):
    assert record["answers"] == [[size] for size in SIZES], "each datagram came back complete, once"
    assert record["exit_codes"] == [0] * len(SIZES)
    assert record["too_long_exit_code"] == 2
    assert record["too_long_error"] == "EMSGSIZE"
    assert record["too_long_answers"] == 0
    assert record["server_exit_code"] == 0
