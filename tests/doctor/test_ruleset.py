"""The decision on packets between hosts of a new lab: read from the rules, and compared with the kernel's."""

import ipaddress
import json
import subprocess
import sys
from functools import cache

import pytest

from lab.doctor.checks.firewall import FirewallFacts, SavedRules, check_firewall
from lab.doctor.checks.ruleset import BRIDGE, RuleSet
from tests.doctor.machines import ROOT

PREFIXES = [ipaddress.ip_network("10.9.1.0/24")]
# Commands for iptables; True: a packet from 10.9.1.1 to 10.9.1.2 passes the bridge.
CASES = {
    "nothing": ([], True),
    "policy": (["-P FORWARD DROP"], False),
    "accepted before the policy": (["-P FORWARD DROP", "-A FORWARD -j ACCEPT"], True),
    "accepted on the bridge": (["-P FORWARD DROP", "-A FORWARD -i br-+ -o br-+ -j ACCEPT"], True),
    "accepted elsewhere": (["-P FORWARD DROP", "-A FORWARD -i br-fedcba987654 -j ACCEPT"], False),
    "answers only": (["-P FORWARD DROP", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"], False),
    "dropped by address": (["-A FORWARD -s 10.0.0.0/8 -j DROP"], False),
    "dropped for others": (["-A FORWARD -s 172.16.0.0/12 -j DROP"], True),
    "dropped except ours": (["-A FORWARD ! -s 10.9.0.0/16 -j DROP"], True),
    "rejected": (["-A FORWARD -d 10.9.1.0/24 -j REJECT"], False),
    "not to another bridge": ([f"-A FORWARD -i {BRIDGE} ! -o {BRIDGE} -j DROP"], True),
    "in a chain": (["-N USER", "-A FORWARD -j USER", "-A USER -o br-+ -j DROP"], False),
    "returned from a chain": (
        ["-N USER", "-A FORWARD -j USER", "-A USER -j RETURN", "-A USER -j DROP"], True,
    ),
    "accepted in a chain": (
        ["-N USER", "-A FORWARD -j USER", "-A USER -j ACCEPT", "-A FORWARD -j DROP"], True,
    ),
    "a comment": (["-A FORWARD -m comment --comment 'no, -j ACCEPT' -j DROP"], False),
}  # fmt: skip

# Two hosts on a bridge: one answers datagrams. ip-netns(8) needs a writable /run.
SETUP = f"""
mount -t tmpfs tmpfs /run; mkdir /run/netns
ip link add {BRIDGE} type bridge; ip link set {BRIDGE} up
for n in 1 2; do
    ip netns add h$n; ip link add v$n type veth peer name eth0 netns h$n
    ip link set v$n master {BRIDGE} up
    ip -n h$n addr add 10.9.1.$n/24 dev eth0; ip -n h$n link set eth0 up
done
"""
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.9.1.2", 7))
while True:
    s.sendto(*s.recvfrom(9))
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("10.9.1.2", 7))
s.settimeout(0.2)
for _ in range(int(sys.argv[1])):
    try:
        s.send(b"x")
        print(len(s.recv(9)), "passed")
        break
    except OSError:
        pass
"""


def script():
    yield f"{SETUP}\nip netns exec h2 {sys.executable} -c '{ECHO}' &\n"
    send = f"ip netns exec h1 {sys.executable} -c '{SEND}'"
    yield f"{send} 25\n"  # until the bridge and the other host are ready
    for commands, _ in CASES.values():
        yield "iptables -F; iptables -X; iptables -P FORWARD ACCEPT\n"
        yield from (f"iptables {command}\n" for command in commands)
        yield f"echo '=== case'; iptables-save; {send} 1\n"


@cache
def answers():
    """The saved rules of each case, and the kernel's decision: one set of namespaces for all."""
    namespaces = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    argv = ["unshare", *namespaces, "bash", "-ec", "".join(script())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    ready, *outputs = done.stdout.split("=== case\n")
    assert "passed" in ready
    return dict(zip(CASES, ((text, "passed" in text.split()) for text in outputs), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_rules_are_read_as_the_kernel_applies_them(name):
    saved, passed = answers()[name]
    assert passed == CASES[name][1]
    assert (RuleSet(saved, PREFIXES).drops(managed=False) is None) == passed


def rules(*lines):
    return "\n".join(["*mangle", ":FORWARD DROP [0:0]", "COMMIT", "*filter", *lines, "COMMIT"])


OLDER = (":FORWARD DROP [0:0]", ":DOCKER-USER - [0:0]", "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DROP")
NEWER = (
    ":FORWARD DROP [0:0]", ":DOCKER-USER - [0:0]", ":DOCKER-FORWARD - [0:0]",
    "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD",
)  # fmt: skip


@pytest.mark.parametrize("engine", [OLDER, NEWER])
def test_the_engine_accepts_the_packets_of_a_new_network(engine):
    assert RuleSet(rules(*engine), PREFIXES).drops(managed=True) is None
    assert RuleSet(rules(*engine), PREFIXES).drops(managed=False) is not None


@pytest.mark.parametrize("engine", [OLDER, NEWER])
def test_the_users_own_chain_comes_first(engine):
    decision = RuleSet(rules(*engine, "-A DOCKER-USER -s 10.9.0.0/16 -j DROP"), PREFIXES).drops(managed=True)
    assert (decision.chain, decision.rule, decision.certain) == (
        "DOCKER-USER",
        "-s 10.9.0.0/16 -j DROP",
        True,
    )


def test_a_rule_about_some_packets_makes_the_decision_uncertain():
    saved = rules(":FORWARD DROP [0:0]", "-A FORWARD -p icmp -j ACCEPT")
    assert RuleSet(saved, PREFIXES).drops(managed=False).certain is False
    facts = FirewallFacts(
        {4: True}, rules=[SavedRules("iptables-nft", 4, saved)], configuration={"iptables": False}
    )
    (finding,) = check_firewall(facts, "26.1.5", PREFIXES)
    assert finding.level == "notice"
    assert "lab doctor --deep" in str(finding.remedy)


def test_packets_on_a_bridge_need_not_pass_the_filter():
    saved = [SavedRules("iptables", 4, rules(":FORWARD DROP [0:0]"))]
    (finding,) = check_firewall(FirewallFacts({4: False, 6: False}, rules=saved), "26.1.5", PREFIXES)
    assert finding.level == "ok"


@pytest.mark.parametrize(
    ("engine", "configuration", "level"),
    [("26.1.5", {}, "trouble"), ("28.5.2", {}, "ok"), ("26.1.5", {"ip6tables": True}, "ok")],
)
def test_which_engines_add_rules_for_ipv6(engine, configuration, level):
    saved = rules(":FORWARD DROP [0:0]", ":DOCKER - [0:0]", ":DOCKER-USER - [0:0]")
    facts = FirewallFacts(
        {6: True},
        rules=[SavedRules("ip6tables", 6, saved)],
        configuration={"iptables": False, **configuration},
    )
    (finding,) = check_firewall(facts, engine, [ipaddress.ip_network("fd09::/64")])
    assert finding.level == level


@pytest.mark.lab
def test_a_base_chain_of_nft_is_found():
    """The machine may lack the tool nft, so it runs in a container, and the facts are collected there."""
    chain = "add chain inet other drops {type filter hook forward priority 0; policy drop;}"
    nft = f"nft 'add table inet other; {chain}'"
    code = "import json; from lab.doctor.facts.firewall import *; print(json.dumps(firewall().base_chains))"
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--cap-add", "NET_ADMIN", "--user", "root",
         "--volume", f"{ROOT}/lab:/opt/socketlab/lab:ro", "--entrypoint", "sh", "socketlab/host",
         "-ec", f"{nft}; python3 -c '{code}'"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    chains = json.loads(done.stdout or "null")
    assert chains == ["inet other drops"], done.stderr
    facts = FirewallFacts({4: True}, base_chains=chains, configuration={"iptables": False})
    (finding,) = check_firewall(facts, "26.1.5", PREFIXES)
    assert (finding.level, "lab doctor --deep" in str(finding.remedy)) == ("notice", True)
