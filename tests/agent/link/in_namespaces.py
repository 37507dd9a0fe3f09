"""Runs as root in a network namespace of its own, for test_three_segments.py: a router with three segments.

Each segment has one host, which is a namespace too. Each function is one case; its result is printed as JSON
on the last line.
"""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

from lab.agent import root

SEGMENTS = ("red", "green", "blue")
ADDRESSES = {name: f"10.9.{number}.2" for number, name in enumerate(SEGMENTS)}  # the router's
HOSTS = {name: f"10.9.{number}.10" for number, name in enumerate(SEGMENTS)}
HOSTS6 = {name: f"fd09:{number}::10" for number, name in enumerate(SEGMENTS)}


def sh(command):
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout


def build():
    sh("mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/socketlab && ip link set lo up")
    Path("/run/socketlab/node").write_text("role=router\n")
    sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0")
    for number, name in enumerate(SEGMENTS):
        sh(f"ip netns add {name} && ip link add {name}0 txqueuelen 0 type veth peer name eth0 netns {name}")
        sh(f"ip addr add {ADDRESSES[name]}/24 dev {name}0; ip addr add fd09:{number}::2/64 dev {name}0 nodad")
        sh(f"ip link set {name}0 up; ip -n {name} link set eth0 up; ip -n {name} link set lo up")
        sh(
            f"ip -n {name} addr add {HOSTS[name]}/24 dev eth0; "
            f"ip -n {name} addr add {HOSTS6[name]}/64 dev eth0 nodad"
        )
        sh(f"ip -n {name} route add default via {ADDRESSES[name]}")
        sh(f"ip -n {name} -6 route add default via fd09:{number}::2")


def send(request):
    """What the root half of the agent does."""
    return root.answer(json.dumps({"op": "impair", "request": request}).encode())


def ask(op, **fields):
    answer = send({"op": op, "interfaces": ADDRESSES, **fields})
    assert "ok" in answer, answer
    return json.loads(json.dumps(answer["ok"]))


def impair(between, backend=None, **settings):
    plain = {
        "delay": 0,
        "jitter": 0,
        "loss": 0,
        "duplication": 0,
        "reordering": 0,
        "corruption": 0,
        "rate": None,
    }
    link = {key: plain | value if key.startswith("to-") else value for key, value in settings.items()}
    return ask("apply", between=between, link=link, backend=backend, seed="1")["now"]


def ping(source, target, count=10, version=4):
    """(received, duplicates, the median round trip in ms)."""
    address = (HOSTS if version == 4 else HOSTS6)[target]
    argv = f"ip netns exec {source} ping -{version} -n -c {count} -i 0.03 -W 0.5 {address}".split()
    text = subprocess.run(argv, capture_output=True, text=True).stdout
    times = sorted(float(t) for t in re.findall(r"time=([\d.]+)", text))
    return len(times), text.count("DUP!"), times[len(times) // 2] if times else None


def rate(source, target):
    """bit/s of a TCP connection."""
    server = subprocess.Popen(
        ["ip", "netns", "exec", target, sys.executable, "-c",
         "import socket, time; s = socket.create_server(('', 5)); print(flush=True); c, _ = s.accept()\n"
         "n = 0; c.recv(1); began = time.monotonic()\n"
         "while d := c.recv(1 << 20): n += len(d)\n"
         "print(n * 8 / (time.monotonic() - began))"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    server.stdout.readline()
    send = f"import socket; s = socket.create_connection(('{HOSTS[target]}', 5)); s.sendall(bytes(1_000_000))"
    subprocess.run(["ip", "netns", "exec", source, sys.executable, "-c", send], check=True)
    return float(server.communicate()[0])


def pairs():
    """Each direction of each link has its own settings; the third link is unimpaired."""
    impair(["red", "green"], **{"to-green": {"delay": 0.03}})
    impair(["blue", "green"], **{"to-green": {"delay": 0.08}, "to-blue": {"loss": 1.0}})
    return {
        "red-green": ping("red", "green"),
        "red-blue": ping("red", "blue"),
        "blue-green": ping("blue", "green"),
        "six": ping("red", "green", version=6),
    }


def rates():
    """Lines of the same outgoing interface have their own rates."""
    impair(["red", "green"], "nfqueue", **{"to-green": {"rate": 8e6}})
    impair(["blue", "green"], "statistic", **{"to-green": {"rate": 32e6}})
    saw = {"red": rate("red", "green"), "blue": rate("blue", "green"), "free": rate("red", "blue")}
    impair(["red", "green"])
    saw["red cleared"] = rate("red", "green")
    saw["blue stays"] = rate("blue", "green")
    impair(["blue", "green"])
    saw["qdiscs"] = sh("tc qdisc show dev green0")
    saw["rules"] = sh("iptables-save | grep -c SOCKETLAB || true").strip()
    return saw


def untouched():
    """A change of one link leaves the process, the queues and the counts of another one as they are."""
    drop = {"nth": [3], "protocol": "icmp", "port": None, "flags": None, "direction": "to-blue"}
    first = impair(["red", "blue"], drops=[drop])["links"][0]
    ping("red", "blue", 2)
    second = impair(["red", "green"], **{"to-green": {"delay": 0.02}})
    received, _, _ = ping("red", "blue", 5)
    now = next(link for link in ask("show")["now"]["links"] if link["between"] == ["red", "blue"])
    same = all(now[key] == first[key] for key in ("id", "worker", "queues"))
    impair(["red", "green"])
    left = ask("show")["now"]["links"]
    return {"same": same, "links": len(second["links"]), "received": received, "drops": now["drops"],
            "left": [link["between"] for link in left]}  # fmt: skip


def statistic_drops():
    """The rules that count the nth packet of one link go on counting if another link changes."""
    drop = {"nth": [3], "protocol": "icmp", "port": None, "flags": None, "direction": "to-blue"}
    impair(["red", "blue"], "statistic", drops=[drop])
    ping("red", "blue", 2)
    impair(["red", "green"], "statistic", **{"to-green": {"loss": 1.0}})
    return {"blue": ping("red", "blue", 5)[0], "green": ping("red", "green", 3)[0]}


def partition():
    """Hosts of different sets are cut off from each other; the settings of a link stay."""
    impair(["red", "blue"], **{"to-blue": {"delay": 0.02}})
    sets = [[HOSTS["red"], HOSTS6["red"], HOSTS["blue"], HOSTS6["blue"]], [HOSTS["green"], HOSTS6["green"]]]
    made = ask("partition", partition={"sets": sets, "one_way": False})["now"]["partitions"][0]
    saw = {"red-green": ping("red", "green", 3)[0], "six": ping("red", "green", 3, version=6)[0]}
    saw["red-blue"] = ping("red", "blue", 3)
    inner = ask("partition", partition={"sets": [sets[0][:2], sets[0][2:]], "one_way": True})["now"][
        "partitions"
    ][1]
    saw["inner"] = ping("red", "blue", 3)[0]
    ask("heal", id=inner["id"])
    impair(["red", "blue"])
    shown = ask("show")["now"]["partitions"]
    saw |= {"dropped": shown[0]["dropped"], "alive": shown[0]["alive"], "count": len(shown)}
    sh("iptables -t mangle -F SOCKETLAB-LINK")
    saw["flushed"] = ask("show")["now"]["partitions"][0]["alive"]
    saw["healed"] = ask("heal", id=made["id"])["now"]
    saw["ping"] = ping("red", "green", 3)[0]
    saw["rules"] = sh("iptables-save | grep -c SOCKETLAB || true").strip()
    return saw


def one_way():
    """A one-way partition drops packets from the first set to the second only."""
    sets = [[HOSTS["red"]], [HOSTS["green"]]]
    ask("partition", partition={"sets": sets, "one_way": True})
    receive = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 7)); s.settimeout(1)\n"
        "print(flush=True)\ntry: print(s.recv(9).decode())\nexcept TimeoutError: print('silence')"
    )
    heard = {}
    for source, target in (("red", "green"), ("green", "red")):
        argv = ["ip", "netns", "exec", target, sys.executable, "-c", receive]
        receiver = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        receiver.stdout.readline()
        send = f"import socket; socket.socket(2, 2).sendto(b'hi', ('{HOSTS[target]}', 7))"
        sh(f'ip netns exec {source} {sys.executable} -c "{send}"')
        heard[source] = receiver.communicate()[0].strip()
    return heard


def copies():
    """Copies of duplicated packets go through the line of their link, and arrive."""
    impair(["red", "green"], **{"to-green": {"duplication": 1.0, "rate": 1e6}})
    _, duplicates, _ = ping("red", "green", 5)
    sent = re.search(r"class htb 1:1 .*?Sent \d+ bytes (\d+) pkt", sh("tc -s class show dev green0"), re.S)
    return {"duplicates": duplicates, "in class": int(sent[1])}


def refused():
    """Requests that are not valid."""
    sets = [[HOSTS["red"]], [HOSTS["green"]]]
    wrong = [
        {"op": "apply"},
        {"op": "apply", "between": ["red"]},
        {"op": "apply", "between": ["red", "red"]},
        {"op": "apply", "between": ["red", "white"]},
        {"op": "apply", "between": "red"},
        {"op": "apply", "between": ["red", "green"], "link": {"to-blue": {"delay": 1}}},
        {"op": "partition", "partition": {"sets": sets[:1]}},
        {"op": "partition", "interfaces": {}, "partition": {"sets": sets}},
    ]
    return {"answers": [send({"interfaces": ADDRESSES} | request)["code"] for request in wrong],
            "now": ask("show")["now"]}  # fmt: skip


def mutated():
    """The answers to requests that are wrong in one or two places."""
    chosen = random.Random(7)
    direction = dict.fromkeys(("delay", "jitter", "loss", "duplication", "reordering", "corruption"), 0)
    values = [
        None,
        True,
        0,
        -1,
        2**70,
        1e400,
        "",
        "a" * 300,
        "-A INPUT\n",
        "; reboot",
        [],
        [[]],
        {},
        {"a": {}},
    ]
    right = [
        {"op": "apply", "interfaces": ADDRESSES, "between": ["red", "green"], "backend": "statistic",
         "link": {"to-green": direction | {"rate": None}, "cut": [], "drops": [{"nth": [1]}]}, "seed": "1"},
        {"op": "partition", "interfaces": ADDRESSES, "partition": {"sets": [["10.9.0.10"], ["10.9.1.10"]]}},
        {"op": "heal", "interfaces": ADDRESSES, "id": "x"},
    ]  # fmt: skip
    answers = []
    for _ in range(400):
        request = json.loads(json.dumps(chosen.choice(right)))
        for _ in range(chosen.randint(1, 2)):
            holder, key = chosen.choice([place for place in places(request) if place[1] != "op"])
            holder[key] = json.loads(json.dumps(chosen.choice(values)))
        answers.append(send(request))
    send({"op": "clear", "interfaces": ADDRESSES})
    return {"surprises": [answer for answer in answers if answer.get("code", 2) != 2],
            "refused": sum("error" in answer for answer in answers)}  # fmt: skip


def places(value):
    """Everything in a JSON value, as (its dictionary or list, its key in there)."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from places(inner)


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = "/opt/socketlab"
    build()
    result = globals()[sys.argv[1]]()
    print(json.dumps(result))
