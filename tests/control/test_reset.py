"""A reset lab differs in nothing from one that has just come up, whatever was done to it."""

import os
import subprocess
from dataclasses import dataclass

import pytest

from lab.control.link.router import LinkFailure
from lab.control.reset import reset
from lab.control.transport import from_engine
from lab.engine.lifecycle.project import LabProject
from tests.control.inspection import differences, inspected

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

NODES = ("server", "client", "router")
BACKGROUND = "setsid {} >/dev/null 2>&1 </dev/null & "
# Doubles each second until the user has 600 processes, and goes on when a process has ended. At the limit of
# the container, 4096, it would slow down the whole machine.
FORK_BOMB = "bash -c 'ulimit -u 600; f() { while :; do f & sleep 0.2; done; }; f'"
# Fills the process table of the container with processes that sleep.
FULL_TABLE = """python3 -c "
import os, signal
try:
    while os.fork():
        pass
except OSError:
    open('/tmp/full', 'w')
signal.pause()
" """
DAEMON = (
    'python3 -c "import os, time, signal\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n'
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 60))\nopen('/tmp/up', 'w')\ntime.sleep(600)\""
)
SOCKETS = """python3 -c "
import socket, time
def listening(backlog=5):
    s = socket.socket(); s.bind(('', 0)); s.listen(backlog); return s
def pair(server):
    c = socket.create_connection(server.getsockname()); return c, server.accept()[0]
a = listening(); established = pair(a)
half = pair(a); half[0].shutdown(1)                      # FIN_WAIT2, CLOSE_WAIT
waits = pair(a); waits[0].close(); waits[1].close()      # TIME_WAIT
full = listening(0); queued = [socket.socket() for _ in range(4)]
[(q.setblocking(False), q.connect_ex(full.getsockname())) for q in queued]  # SYN_SENT, SYN_RECV
out = socket.socket(); out.setblocking(False); out.connect_ex(('192.0.2.1', 9))
six = socket.socket(socket.AF_INET6); six.bind(('::', 0)); six.listen()
u = socket.socket(type=2); u.bind(('', 5353)); u.connect(('127.0.0.1', 9))
unread = pair(a); unread[0].sendall(b'x' * 100000)
time.sleep(600)
" """


@dataclass(frozen=True)
class Mess:
    """Something that a test or a user may do to the server of the lab.

    ``by``: "lab" over SSH, "root" by `docker exec -u root`, "outside" on the machine that runs Docker.
    ``undone``: a reset undoes it without replacing the node; None if it may do either.
    """

    name: str
    by: str
    command: str
    undone: bool | None = True


# Commands of more than a line.
SAME_SIZE_AND_TIME = "touch -r ~/.bashrc /tmp/t; sed -i s/a/b/ ~/.bashrc; touch -r /tmp/t ~/.bashrc"
DEEP_TREE = f"cd /tmp; for i in $(seq 300); do mkdir -p {'0' * 31}; cd -P {'0' * 31}; done; touch x"
STRANGE_NAMES = r"cd /tmp; touch -- -rf ' ' $'a\nb' $'\377'; mkfifo /dev/shm/p; ln -s / /var/tmp/root"
OTHER_SSHD = "rm /etc/socketlab/sshd_config; echo 'Port 23' >/etc/socketlab/sshd_config"
NO_KEYS = "cd /etc/socketlab/keys; rm -rf * .lock; touch junk"
MESSAGE_QUEUE = "python3 -c 'import ctypes; ctypes.CDLL(None).mq_open(b\"/q\", 66, 0o600, None)'"
ADDRESSES = "ip address add 10.1.2.3/24 dev {device}; ip address add fd99::1/64 dev {device}"
NO_ADDRESSES = "ip address del {address} dev {device}; ip address del {address6} dev {device}"
ROUTES = "ip route add 10.99.0.0/16 via {router}; ip -6 route del default; ip route add blackhole 192.0.2.1"
FILTER = (
    "echo 'table ip x {{ chain y {{ type filter hook input priority 0; tcp dport 80 drop; }}; }}' | nft -f -"
)
OWN_FILTER = "nft add rule inet socketlab input tcp dport 80 drop; nft flush chain inet socketlab output"
OTHER_USER = "setpriv --reuid 4321 --clear-groups sleep 600"

MESSES = [
    Mess("a daemon", "lab", DAEMON),
    Mess("a process of another session", "lab", BACKGROUND.format("sleep 600")),
    Mess("a stopped process", "lab", BACKGROUND.format("sh -c 'kill -STOP $$; sleep 600'")),
    Mess(
        "a fork bomb",
        "lab",
        BACKGROUND.format(FORK_BOMB) + "until set -- /proc/[0-9]*; [ $# -gt 400 ]; do :; done",
    ),
    Mess("a full process table", "lab", BACKGROUND.format(FULL_TABLE) + "until [ -e /tmp/full ]; do :; done"),
    Mess("a zombie", "lab", BACKGROUND.format("sh -c 'sleep 0 & exec sleep 600'")),
    Mess("a process of root", "root", BACKGROUND.format("sleep 600")),
    Mess("a process of another user", "root", BACKGROUND.format(OTHER_USER)),
    Mess("a raw socket", "lab", BACKGROUND.format("sudo -n /usr/lib/socketlab/raw sleep 600")),
    Mess("sockets in all states", "lab", BACKGROUND.format(SOCKETS)),
    Mess("a stopped sshd", "lab", "kill -STOP $(pgrep -o -x sshd)"),
    Mess("a limit of sshd", "lab", "prlimit --nofile=20:20 --pid $(pgrep -o -x sshd)", undone=False),
    Mess("a killed agent", "lab", "pkill -KILL -f '[l]ab.agent' -u lab"),
    Mess("a removed home", "lab", "rm -rf ~/.bashrc ~/.ssh ~/.profile"),
    Mess("a changed file", "lab", "echo 'umask 077' >>~/.bashrc; chmod 600 ~/.profile"),
    Mess("a file with the same size and time", "lab", SAME_SIZE_AND_TIME),
    Mess("a closed folder", "lab", "mkdir -p /tmp/a/b/c; touch /tmp/a/b/c/d; chmod 000 /tmp/a/b /tmp/a"),
    Mess("a link in place of a folder", "lab", "rm -rf ~/.ssh; ln -s /etc ~/.ssh"),
    Mess("a deep tree", "lab", DEEP_TREE),
    Mess("strange names", "lab", STRANGE_NAMES),
    Mess("a full disk", "lab", "head -c 20m /dev/zero >/mnt/small/full"),
    Mess("another sshd_config", "lab", OTHER_SSHD, undone=False),
    Mess("removed keys", "lab", NO_KEYS),
    Mess("System V IPC", "lab", "ipcmk -M 4096; ipcmk -S 3; ipcmk -Q"),
    Mess("a message queue", "lab", MESSAGE_QUEUE),
    Mess("a file of root", "root", "touch /tmp/r; mkdir -p /var/tmp/d/e; touch /var/tmp/d/e/f"),
    Mess("a changed /etc/hosts", "root", "echo '192.0.2.7 elsewhere' >>/etc/hosts"),
    Mess("a changed system file", "root", "echo x >>/etc/passwd", undone=False),
    Mess("an address", "root", ADDRESSES),
    Mess("a missing address", "root", NO_ADDRESSES),
    Mess("routes", "root", ROUTES),
    Mess("a rule", "root", "ip rule add from 192.0.2.1 table 7; ip route add default via {router} table 7"),
    Mess("a neighbour", "root", "ip neigh replace {router} lladdr 02:00:00:00:00:01 dev {device}"),
    Mess("an MTU", "root", "ip link set dev {device} mtu 1300"),
    Mess("a link", "root", "ip link add name new0 link {device} type macvlan; ip link set new0 up"),
    Mess("a queueing discipline", "root", "tc qdisc add dev {device} root handle 7: pfifo limit 3"),
    Mess("a packet filter", "root", FILTER),
    Mess("a changed packet filter", "root", OWN_FILTER),
    Mess("a pulled cable", "lab", "sudo -n /usr/lib/socketlab/cable unplug"),
    Mess("another boot", "lab", "sudo -n /usr/lib/socketlab/boot"),
    Mess("learnt from traffic", "lab", "ping -c 1 -W 2 client; ping -6 -c 1 -W 2 client"),
    Mess("a sysctl", "outside", "nsenter -t {pid} -n sysctl -qw net.ipv4.ip_default_ttl=33", undone=False),
    Mess("a paused host", "outside", "docker pause {container}"),
    Mess("a powered-off host", "outside", "docker kill {container}"),
    # It ends the container, perhaps only after the reset has begun.
    Mess("a killed sshd", "lab", "kill -KILL $(pgrep -o -x sshd)", undone=None),
    Mess("a restarted host", "outside", "docker restart -t 0 {container}"),
]
# They may leave nothing that a report would name.
SILENT = ("a killed agent", "another boot", "learnt from traffic")
# These end the node, or what the others need.
NOT_AT_ONCE = ("a killed sshd", "removed keys", "a pulled cable", "a fork bomb", "a full process table")
AT_ONCE = [each for each in MESSES if each.undone and each.by != "outside" and each.name not in NOT_AT_ONCE]
# A class of differences that the reset is told to ignore, and a mess of it.
IGNORED = {
    "process": "a process of another session",
    "socket": "sockets in all states",
    "file": "a changed file",
    "network": "an address",
    "filter": "a packet filter",
}


class Fresh:
    """A lab that has just come up, and its state."""

    def __init__(self, lab, project):
        self.lab, self.project = lab, project
        self.state = {name: inspected(self.container(name)) for name in NODES}
        for state in self.state.values():
            state["neighbours"] = []  # those that the start of the nodes has left behind

    def container(self, name="server"):
        return f"{self.project}-{name}-1"

    def make(self, mess):
        words = self.words()
        command = (
            mess.command.format(**words) if mess.by != "lab" or "{" not in mess.command else mess.command
        )
        if mess.by == "lab":
            self.lab.server.run(f"( {command} ) >/dev/null 2>&1 </dev/null", timeout=20)
        else:
            argv = ["docker", "exec", "-u", "root", self.container()] if mess.by == "root" else []
            subprocess.run([*argv, "sh", "-c", command], capture_output=True, timeout=30, check=False)

    def words(self):
        node = self.lab.server.node
        interface = node.interfaces[0]
        device = self.docker(
            "exec", self.container(), "sh", "-c", f"ip -o a show to {node.address} | cut -d' ' -f2"
        )
        return {
            "container": self.container(),
            "device": device,
            "address": interface.address,
            "address6": interface.address6,
            "router": node.routes[0].via,
            "pid": self.docker("inspect", "-f", "{{.State.Pid}}", self.container()),
        }

    def docker(self, *words):
        return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()

    def differences(self, *names):
        return [
            f"{name}: {line}"
            for name in names or NODES
            for line in differences(self.state[name], inspected(self.container(name)))
        ]


@pytest.fixture(scope="module")
def fresh():
    project = LabProject.of_file(None, f"socketlab-test-{os.getpid()}-reset")
    try:
        project.up()
        with from_engine(project.project) as lab:
            lab.connect()
            with lab.claimed():
                for host in lab.hosts:
                    host.agent.request("clock", timeout=10)
                found = Fresh(lab, project.project)
                lab.reset()
                yield found
    finally:
        project.down()


@pytest.mark.parametrize("mess", MESSES, ids=lambda mess: mess.name)
def test_a_reset_undoes(fresh, mess):
    fresh.make(mess)
    report = fresh.lab.reset()
    assert fresh.differences("server") == []
    server = next(node for node in report.nodes if node.node == "server")
    assert mess.undone is None or server.replaced is (not mess.undone), report.to_dict()
    assert mess.name in SILENT or not server.is_clean
    assert fresh.lab.reset().is_clean


def test_a_reset_undoes_everything_at_once(fresh):
    for mess in AT_ONCE:
        fresh.make(mess)
    report = fresh.lab.reset()
    print(report.to_dict())
    assert fresh.differences() == []
    assert report.replaced == ()


@pytest.mark.parametrize("kind", IGNORED)
def test_the_comparison_fails_if_a_reset_ignores_a_difference(fresh, kind):
    fresh.make(next(mess for mess in MESSES if mess.name == IGNORED[kind]))
    skipped = ("process", "socket") if kind == "socket" else (kind,)  # a socket ends with its process
    assert reset(fresh.lab.hosts, skip=skipped).replaced == ()
    assert fresh.differences("server") != []
    assert fresh.lab.reset().replaced == ()
    assert fresh.differences("server") == []


def test_a_clean_lab_has_nothing_to_undo(fresh):
    fresh.lab.reset()
    report = fresh.lab.reset()
    assert report.is_clean
    assert report.to_dict()["nodes"][0]["findings"] == []


def test_impairment_and_partitions_are_cleared(fresh):
    lab = fresh.lab
    lab.link.set(delay=0.05)
    report = lab.reset()
    assert fresh.differences() == []
    with pytest.raises(LinkFailure, match="somebody else changed the link"):
        lab.link.show()
    router = next(node for node in report.nodes if node.node == "router")
    assert "impairment" in {finding.kind for finding in router.findings}
    assert not router.replaced
    assert lab.client.run("ping -c 1 -W 2 server").ok


def test_what_belongs_to_the_controller_is_spared(fresh, tmp_path):
    lab = fresh.lab
    with lab.recording(tmp_path):
        lab.client.run("ping -c 1 -W 2 server", check=True)
        lab.client.put("text", "/tmp/file")
        lab.reset()
        lab.client.run("ping -c 2 -W 2 server", check=True)
        lab.client.put("text", "/tmp/file")
        assert len([packet for packet in lab.packets().packets if packet.protocol == "icmp"]) >= 6
    assert lab.reset().replaced == ()


def test_a_replaced_router_connects_the_hosts_again(fresh):
    fresh.docker("exec", "-u", "root", fresh.container("router"), "sh", "-c", "echo x >>/etc/passwd")
    assert fresh.lab.reset().replaced == ("router",)
    with fresh.lab.claimed():  # the reservation ended with the router
        assert fresh.differences() == []
        assert fresh.lab.client.run("ping -c 1 -W 2 server").ok


def test_a_node_that_another_process_has_replaced_is_found_again(fresh):
    with from_engine(fresh.project) as other:
        other.server._power.replace()
    fresh.lab.server.disconnect()
    assert fresh.lab.server.run("true").ok
    fresh.lab.reset()
    assert fresh.differences() == []
