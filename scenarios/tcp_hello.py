"""Hello: a client sends a text, the server answers, and both print the text they receive.

The smallest conversation over TCP. The server binds, listens, and then waits in accept(): nothing happens on
win10 until kali connects.

    kali                            win10
      │                               │  bind, listen, accept … waits
      │ ── connect ─────────────────▶ │  accept returns
      │ ── 我是客户端 ──────────────▶ │  recv, print
      │ ◀────────────── 我是服务端 ── │  send, close

connect() is three packets, the three-way handshake: SYN, SYN ACK, ACK. Each close() sends a FIN, and the
other side acknowledges it. The picture shows every packet, pure ACKs included.
"""

ACKS = True  # the picture shows the handshake and the close with their ACKs
CLIENT, SERVER = "我是客户端", "我是服务端"


def run(lab):
    with lab.server.start("lab-echo serve --mode hello --port 8001 --json") as server:
        sockets = lab.server.run("ss --no-header --tcp --listening --numeric 'sport = :8001'")
        before = [message["event"] for message in server.messages]
        client = lab.client.run(f"lab-echo send --mode hello --port 8001 --json server {CLIENT}")
        server.wait_for_line("answered")
    return {
        "state_before": sockets.stdout.split()[0],
        "events_before": before,
        "events": [message["event"] for message in server.messages],
        "server_heard": [message["text"] for message in server.messages if message["event"] == "text"],
        "client_heard": [message["text"] for message in client.messages],
        "exit_codes": [client.exit_code, server.result.exit_code],
    }


def check(record):
    assert record["state_before"] == "LISTEN"
    assert record["events_before"] == ["listening"], "the server printed something before a client came"
    assert record["events"] == ["listening", "connected", "text", "closed"]
    assert record["server_heard"] == [CLIENT]
    assert record["client_heard"] == [SERVER]
    assert record["exit_codes"] == [0, 0]
