"""Users log in as lab: with the tools, without root, and with host keys that must match."""

import re

import pytest

from .conftest import HOSTS, NODES, ComposeLab

pytestmark = pytest.mark.lab
SECRET = "/etc/socketlab/keys"


@pytest.mark.parametrize("node", NODES)
def test_exec_runs_as_the_user_lab(lab: ComposeLab, node: str) -> None:
    assert lab.ask(node, "whoami; id -u; pwd") == "lab\n1000\n/home/lab"


@pytest.mark.parametrize("node", NODES)
def test_only_the_agent_runs_as_root(lab: ComposeLab, node: str) -> None:
    # All processes are checked, because those of this exec belong to lab, too.
    lines = lab.ask(node, "ps -eo user=,args=").splitlines()
    others = [line for line in lines if line.split()[0] != "lab" and "<defunct>" not in line]
    assert len(lines) > len(others)
    for line in others:
        assert re.match(
            r"root +(sudo -n /usr/lib/socketlab/agent|/usr/bin/python3 -IS .*/run/socketlab/pycache)", line
        )


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("command", ["id", "/usr/lib/socketlab/boot now", "-s", "-u lab id"])
def test_sudo_refuses_other_commands(lab: ComposeLab, node: str, command: str) -> None:
    assert lab.run(node, f"sudo -n {command}").returncode != 0


LOOK = """
import os, socket
lent = socket.socket(fileno=0)
print(lent.family.name, lent.type.name, lent.proto, os.getresuid(), os.getgroups())
print([line.split()[1] for line in open("/proc/self/status") if line[:6] in ("CapPrm", "CapEff")])
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
"""


def test_raw_grants_a_raw_socket_and_no_other_privilege(lab: ComposeLab) -> None:
    done = lab.run("client", f"sudo -n /usr/lib/socketlab/raw python3 -c '{LOOK}'")
    none = str(["0" * 16] * 2)
    assert done.stdout.splitlines() == ["AF_INET SOCK_RAW 1 (1000, 1000, 1000) [1000]", none]
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [("", "no program given"), ("nothing", "No such file"), ("sudo -n id", "a password is required")],
)
def test_a_program_with_a_raw_socket_is_not_root(lab: ComposeLab, arguments: str, said: str) -> None:
    done = lab.run("client", f"sudo -n /usr/lib/socketlab/raw {arguments}")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("here", "there", "answer"),
    [("client", "server", "win10"), ("client", "win10", "win10"), ("server", "client", "kali")]
    + [("server", "kali", "kali"), ("client", "router", "router"), ("server", "router", "router")],
)
def test_ssh_asks_nothing(lab: ComposeLab, here: str, there: str, answer: str) -> None:
    assert lab.ask(here, f"ssh -o BatchMode=yes {there} 'hostname; whoami'") == f"{answer}\nlab"


@pytest.mark.parametrize("family", [0, 1])
def test_ssh_has_host_keys_for_addresses_too(lab: ComposeLab, family: int) -> None:
    assert lab.ask("client", f"ssh -o BatchMode=yes {lab.addresses['server'][family]} hostname") == "win10"


def test_ssh_gives_a_terminal(lab: ComposeLab) -> None:
    assert "/dev/pts/" in lab.ask("client", "ssh -tt server tty 2>/dev/null")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("way", ["exec", "ssh"])
def test_programs_and_tools_are_on_the_path(lab: ComposeLab, host: str, way: str) -> None:
    programs = "lab-echo lab-udp lab-command lab-transfer"
    tools = "ssh ping ss ip tcpdump nc traceroute socat rsync iperf3 python3"
    wanted = f"{programs} {tools}".split()
    script = f"command -v {' '.join(wanted)}"
    found = lab.run(host, script if way == "exec" else f"ssh {host} '{script}'").stdout.splitlines()
    assert [path.rpartition("/")[2] for path in found] == wanted


def test_an_interactive_shell_lists_what_can_be_done(lab: ComposeLab) -> None:
    out = lab.ask("client", "bash -ic true 2>/dev/null")
    assert "lab-echo" in out
    assert lab.ask("client", "bash -c true") == ""


def test_changes_in_the_checkout_take_effect_at_once(lab: ComposeLab) -> None:
    assert (
        lab.ask("client", "python3 -c 'import lab; print(lab.__file__)'") == "/opt/socketlab/lab/__init__.py"
    )
    assert lab.run("client", "touch /opt/socketlab/lab/x /opt/socketlab/scenarios/x").returncode != 0


def test_tcpdump_captures_without_root(lab: ComposeLab) -> None:
    out = lab.ask(
        "server",
        """
        coproc timeout 15 tcpdump -n -l -c 1 -i any icmp 2>&1
        while read -r line <&"${COPROC[0]}"; do
            echo "$line"
            case $line in listening*) ssh client ping -c 1 -4 server >/dev/null ;; *request*) exit ;; esac
        done
        """,
    )
    assert "ICMP echo request" in out


@pytest.mark.parametrize("known", ["/dev/null", "/tmp/changed"])
def test_an_unknown_or_changed_host_key_is_refused(lab: ComposeLab, known: str) -> None:
    # The client's own key, in place of the server's.
    swap = f"sed -n 's/^client,[^ ]*/server,win10/p' {SECRET}/known_hosts >/tmp/changed"
    done = lab.run("client", f"{swap}; ssh -o BatchMode=yes -o UserKnownHostsFile={known} server true")
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_each_node_has_its_own_key(lab: ComposeLab) -> None:
    lines = lab.ask("client", f"cat {SECRET}/known_hosts").splitlines()
    assert len({line.split()[2] for line in lines}) == len(lines) == len(NODES)


def test_a_password_is_not_even_asked_for(lab: ComposeLab) -> None:
    done = lab.run(
        "client",
        f"ssh -F /dev/null -o BatchMode=yes -o UserKnownHostsFile={SECRET}/known_hosts lab@server true",
    )
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("host", HOSTS)
def test_a_thousand_connections_are_possible(lab: ComposeLab, host: str) -> None:
    assert int(lab.ask(host, "ulimit -n")) >= 4096
    assert (
        int(lab.ask(host, "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | head -n 1"))
        >= 1024
    )
