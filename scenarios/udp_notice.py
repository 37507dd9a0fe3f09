"""A notice: one datagram, no connection, no answer.

UDP doesn't check whether anyone receives. Before a receiver exists, sendto() still succeeds, and the datagram
is lost without an error. A sender may bind a fixed port (3000 here), which the receiver then sees; otherwise
the system picks an ephemeral port.
"""

TEXT = "你好 win10"


def run(lab):
    early = lab.client.run("lab-udp send --bind 3000 --port 2000 --json server 'too early'")
    return {
        "early_exit_code": early.exit_code,
        "early_bytes": [message["size"] for message in early.messages],
        "bound": notice(lab, 2000, "--bind 3000"),
        "ephemeral": notice(lab, 8090),
        "client_address": lab.client.address,
    }


def notice(lab, port, options=""):
    with lab.server.start(f"lab-udp serve --mode notice --port {port} --json") as receiver:
        sender = lab.client.run(f"lab-udp send {options} --port {port} --json {lab.server.address} '{TEXT}'")
        receiver.wait_for_line("says")
    heard = [message for message in receiver.messages if message["event"] == "datagram"]
    return {
        "sent_from": [message["local_port"] for message in sender.messages],
        "came_from": [message["port"] for message in heard],
        "sender": [message["host"] for message in heard],
        "texts": [message["text"] for message in heard],
        "exit_codes": [sender.exit_code, receiver.result.exit_code],
    }


def check(record):
    assert record["early_exit_code"] == 0, "nobody listens, and the sender gets no error"
    assert record["early_bytes"] == [len("too early")]
    for variant in ("bound", "ephemeral"):
        notice = record[variant]
        assert notice["texts"] == [TEXT], "the early notice is lost, and this one arrives once"
        assert notice["sender"] == [record["client_address"]]
        assert notice["came_from"] == notice["sent_from"], "the router doesn't translate"
        assert notice["exit_codes"] == [0, 0]
    assert record["bound"]["sent_from"] == [3000]
    assert record["ephemeral"]["sent_from"][0] >= 1024
