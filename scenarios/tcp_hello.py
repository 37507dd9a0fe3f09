"""Hello: a client says its text, the server answers, both print what they heard.

The smallest conversation over TCP. The server binds, listens, and then waits in accept(): nothing
happens on win10 until kali connects.

    kali                          win10
      │                             │  bind, listen, accept … waits
      │ ── connect ───────────────▶ │  accept returns
      │ ── 我是客户端 ─────────────▶ │  recv, print
      │ ◀───────────── 我是服务端 ── │  send, close
"""

CLIENT, SERVER = "我是客户端", "我是服务端"


def run(lab):
    with lab.server.start("lab-echo serve --mode hello --port 8001") as server:
        before = lab.server.run("ss -Htln sport = :8001").stdout.split()[0]
        heard_before = server.lines[1:]
        client = lab.client.run(f"lab-echo send server {CLIENT} --mode hello --port 8001")
        server.wait_for_line(CLIENT)
    return {
        "state_before_connect": before,
        "server_heard_before": heard_before,
        "server_heard": [line for line in server.lines if CLIENT in line],
        "client_heard": client.lines,
        "client_exit_code": client.exit_code,
        "server_exit_code": server.result.exit_code,
    }


def check(record):
    assert record["state_before_connect"] == "LISTEN"
    assert record["server_heard_before"] == [], "the server said something before anybody came"
    assert len(record["server_heard"]) == 1
    assert any(SERVER in line for line in record["client_heard"])
    assert record["client_exit_code"] == 0
    assert record["server_exit_code"] == 0
