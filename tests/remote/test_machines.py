"""Scenarios on real machines: containers of another Compose project, which the lab reaches over SSH only."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MACHINES = HERE / "machines"
PROJECT = f"machines-test-{os.getpid()}"
BOTH = ("client", "server")
NAMES = {"client": ["kali"], "server": ["win10"], "plain": []}
SEGMENTS = {"client": "clients", "server": "servers", "plain": "servers"}

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("machines")]


class Machines:
    """The containers, and inventories of them."""

    def __init__(self, folder):
        self.folder = folder
        self.key = folder / "key"
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]
        for path in (self.key, folder / "stranger"):
            subprocess.run([*keygen, str(path)], check=True)
        self.environment = os.environ | {"AUTHORIZED": (folder / "key.pub").read_text().strip()}

    def compose(self, *words):
        argv = ["docker", "compose", "-p", PROJECT, *words]
        done = subprocess.run(argv, cwd=MACHINES, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self):
        for attempt in range(5):
            self.environment["LAN"] = f"10.93.{random.randrange(256)}.0/24"
            try:
                self.compose("up", "--detach", "--build")
                break
            except AssertionError as error:
                if attempt == 4 or "overlaps" not in str(error):
                    raise
        format_ = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        self.addresses = {
            name: subprocess.check_output(
                ["docker", "inspect", "--format", format_, f"{PROJECT}-{name}-1"], text=True
            ).strip()
            for name in NAMES
        }
        host_key = self.compose("exec", "-T", "client", "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        lines = [f"{address} {host_key}" for address in self.addresses.values()]  # one image, one host key
        (self.folder / "known_hosts").write_text("".join(lines))

    def inventory(self, *names, **changes):
        """A file with these machines; ``changes`` are keys of the first one."""
        text = 'user = "alice"\nkey = "key"\nknown_hosts = "known_hosts"\n'
        for name in names:
            values = {"address": self.addresses[name], "segment": SEGMENTS[name], "aliases": NAMES[name]}
            values |= changes if name == names[0] else {}
            text += f"[machines.{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items())
        path = self.folder / f"{random.randrange(10**9)}.toml"
        path.write_text(text)
        return path


def lab(*words, folder):
    argv = [sys.executable, "-m", "lab", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LANGUAGE": "en", "COLUMNS": "200"}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=90)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    machines = Machines(tmp_path_factory.mktemp("machines"))
    try:
        machines.up()
        yield machines
    finally:
        machines.compose("down", "--volumes", "--timeout", "0")


def record_of(folder, scenario):
    (path,) = (folder / "runs" / scenario).glob("*/record.json")
    return json.loads(path.read_text())


PLAYED = (
    "tcp-hello", "reverse-echo", "udp-echo", "remote-command", "file-transfer", "time-wait", "nagle",
)  # fmt: skip


def test_scenarios_play_on_machines_that_have_nothing_of_ours(machines, tmp_path):
    done = lab("run", "--inventory", machines.inventory(*BOTH), *PLAYED, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_of(tmp_path, "tcp-hello")
    assert [(c["name"], c["node"], c["ended"]) for c in record["captures"]] == [
        ("clients", "kali", ""),
        ("servers", "win10", ""),
    ]
    events = (next((tmp_path / "runs" / "tcp-hello").iterdir()) / "events.jsonl").read_text()
    packets = [event for line in events.splitlines() if (event := json.loads(line))["kind"] == "packet"]
    syn = next(packet for packet in packets if packet["flags"] == "S")
    assert syn["fate"] == "crossed"
    assert syn["arrived"] is not None, "the server's capture has it too"
    assert not any(":22" in packet["destination"] for packet in packets), "the controller's own connection"


def test_faults_and_links_are_unsupported_on_machines(machines, tmp_path):
    reasons = {
        "file-resume": "this lab has no router whose link could be impaired",
        "half-open": "win10 is a real machine: its cable can't be pulled",
        "broadcast": "its code has the names router, which the inventory doesn't have",
        "ssh-peer": "the machines have no key to log in to each other",
        "socket-families": "kali has no address6 in the inventory",
    }
    done = lab("run", "--inventory", machines.inventory(*BOTH), *reasons, folder=tmp_path)
    assert done.returncode == 3
    for scenario, why in reasons.items():
        record = record_of(tmp_path, scenario)
        assert (record["verdict"], record["reason"]) == ("unsupported", why)


def test_without_packets_a_check_of_packets_is_unsupported_and_the_record_says_so(machines, tmp_path):
    tcpdump = "/usr/bin/tcpdump"
    machines.compose("exec", "-T", "server", "setcap", "-r", tcpdump)
    try:
        inventory = machines.inventory(*BOTH)
        done = lab("run", "--inventory", inventory, "tcp-hello", "time-wait", folder=tmp_path)
    finally:
        machines.compose("exec", "-T", "server", "setcap", "cap_net_raw+ep", tcpdump)
    assert done.returncode == 3
    why = "no packets are captured: win10: tcpdump: lo: You don't have permission"
    assert done.stdout.count(why) == 3, "a line for each run, and the reason of one verdict"
    assert record_of(tmp_path, "tcp-hello")["verdict"] == "pass"
    assert record_of(tmp_path, "tcp-hello")["captures"] == []
    assert record_of(tmp_path, "time-wait")["verdict"] == "unsupported"


def test_a_name_that_means_another_machine_is_reported(machines, tmp_path):
    inventory = machines.inventory("client", "plain")
    inventory.write_text(inventory.read_text().replace("[machines.plain]", "[machines.server]"))
    done = lab("run", "--inventory", inventory, "tcp-hello", folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr == f"lab: kali: its /etc/hosts needs: '{machines.addresses['plain']} server'\n"


CHECKS = {
    "wrong host key": (
        {"host_key": f"SHA256:{'A' * 43}"},
        "its host key isn't the one in host_key: it is ssh-ed",
    ),
    "wrong key": ({"key": "stranger"}, "alice can't log in with this key"),
    "no host key": ({"known_hosts": "nobody"}, "has no key of"),
    "down": ({"port": 1, "host_key": f"SHA256:{'A' * 43}"}, ":1: Connection refused"),
    "no python": ({"python": "python4"}, "can't run python4: "),
    "old python": ({"python": "old-python"}, "old-python is Python 3.9, and the lab's programs need 3.11"),
    "another address": ({"address": "192.0.2.1"}, "192.0.2.1 isn't one of its addresses"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_machine_that_can_t_be_used_is_reported_in_one_line(machines, tmp_path, name):
    changes, why = CHECKS[name]
    if "address" in changes:
        changes = changes | {"ssh": machines.addresses["plain"]}
    inventory = machines.inventory("plain", **changes)
    checked = lab("inventory", "check", inventory, folder=tmp_path)
    assert (checked.returncode, checked.stderr) == (3, "")
    (line,) = checked.stdout.splitlines()
    assert why in line
    played = lab("run", "--inventory", inventory, "tcp-hello", folder=tmp_path)
    assert played.returncode == 3
    assert why in played.stderr
    assert len(played.stderr.splitlines()) == 1


def test_check_reports_the_capabilities_of_each_machine_and_clean_leaves_nothing(machines, tmp_path):
    inventory = machines.inventory("client", "plain")
    checked = lab("inventory", "check", inventory, folder=tmp_path)
    assert checked.returncode == 0
    client, plain = checked.stdout.splitlines()
    assert client.split(maxsplit=1) == ["kali", "ready; packets can be captured"]
    assert "ready; packets can't be captured: tcpdump: " in plain
    assert "permission" in plain
    find = ("exec", "-T", "-u", "alice", "plain", "find", "/home/alice", "-name", "socketlab")
    assert machines.compose(*find) == "/home/alice/.cache/socketlab\n"
    assert lab("inventory", "clean", inventory, folder=tmp_path).returncode == 0
    assert machines.compose(*find) == ""
