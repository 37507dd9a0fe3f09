"""Clients and servers as tutorials write them, across the router, against ours: in both directions."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

PEERS = Path(__file__).parents[1] / "peers"

# What a tutorial's client says on kali to our server on win10, and what it prints.
CLIENTS = {
    "hello": ("lab-echo serve --mode hello", 8001, "", "我是服务端\n"),
    "reverse": ("lab-echo serve --mode reverse", 20000, "hello\n上海\nquit\n", "olleh\n海上\n"),
    "upper": ("lab-echo serve --mode upper", 8000, "abc\nx y\n", "ABC\nX Y\n"),
    "udp_echo": ("lab-udp serve --mode echo", 9090, "你好\nabc\n", "你好\nabc\n"),
    "command_raw": ("lab-command serve --protocol raw", 8080, "hostname\necho b\nquit\n", "win10\n\nb\n\n"),
    "command_length": ("lab-command serve --protocol length", 11111, "hostname\ntrue\nexit\n", "win10\n\n\n"),
    "command_header": (
        "lab-command serve --protocol header",
        20000,
        "hostname\nseq 3\n",
        "win10\n\n1\n2\n3\n\n",
    ),
}

# What our client on kali gets from a tutorial's server on win10.
SERVERS = {
    "hello": ("lab-echo send --mode hello", ["我是客户端"], "我是服务端\n"),
    "reverse": ("lab-echo send --mode reverse", ["hello", "上海", "quit"], "olleh\n海上\n"),
    "upper": ("lab-echo send --mode upper", ["abc", "x y"], "ABC\nX Y\n"),
    "udp_echo": ("lab-udp send --mode echo", ["你好", "abc"], "你好\nabc\n"),
    "command_raw": ("lab-command run --protocol raw", ["hostname"], "win10\n"),
    "command_length": ("lab-command run --protocol length", ["seq 3000 | wc -l"], "3000\n"),
    "command_header": ("lab-command run --protocol header", ["hostname"], "win10\n"),
}


def peer(name, host, port, *more):
    return ["python3", "-c", (PEERS / f"{name}.py").read_text(), host, str(port), *more]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_tutorials_client_gets_on_with_our_server(shared_lab, name):
    serve, port, says, prints = CLIENTS[name]
    with shared_lab.server.start(f"{serve} --port {port}") as server:
        client = shared_lab.client.run(peer(f"{name}_client", "server", port), stdin=says)
    assert (client.stdout, client.stderr, client.exit_code) == (prints, "", 0)
    assert server.result.exit_code == 0


@pytest.mark.parametrize("name", SERVERS)
def test_our_client_gets_on_with_a_tutorials_server(shared_lab, name):
    send, says, prints = SERVERS[name]
    with shared_lab.server.start(peer(f"{name}_server", "0.0.0.0", 0), announce="") as server:
        port = server.wait_for_line("")  # the first that it prints; any free one, for most don't reuse theirs
        client = shared_lab.client.run([*send.split(), "--port", port, "server", *says])
    assert (client.stdout, client.stderr, client.exit_code) == (prints, "", 0)


def test_a_tutorials_sender_is_heard_with_its_port(shared_lab):
    with shared_lab.server.start("lab-udp serve --mode notice --port 2000 --json") as receiver:
        shared_lab.client.run(peer("notice_client", "server", 2000, "3000"), check=True)
        receiver.wait_for_line("says")
    (heard,) = [message for message in receiver.messages if message["event"] == "datagram"]
    assert (heard["host"], heard["port"], heard["text"]) == (shared_lab.client.address, 3000, "你好")


def test_a_tutorials_receiver_hears_our_sender(shared_lab):
    with shared_lab.server.start(peer("notice_server", "0.0.0.0", 2000), announce="2000") as receiver:
        shared_lab.client.run("lab-udp send --mode notice --bind 3000 --port 2000 server 你好", check=True)
        receiver.wait_for_line("你好")
    assert receiver.lines[1:] == [f"{shared_lab.client.address} 3000 你好"]
