"""Logging in to machines: what is wrong with a key or a host is one line; and the code that is copied."""

import io
import os
import socket
import subprocess
import sys
import tarfile

import paramiko
import pytest

from lab.errors import EnvironmentFailure, UsageError
from lab.remote.machine_connection import NEEDS, bundle
from lab.remote.machine_transport import MachineTransport
from lab.remote.ssh import Identity


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name, passphrase in (("good", ""), ("locked", "secret")):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(folder / name)]
        subprocess.run(argv, check=True)
    (folder / "text").write_text("hello")
    return folder


def dial(folder, **values):
    values = {
        "address": "127.0.0.1",
        "user": "alice",
        "key": "good",
        "host_key": f"SHA256:{'A' * 43}",
    } | values
    lines = "".join(f"{key} = {value!r}\n" for key, value in values.items() if value is not None)
    (folder / "m.toml").write_text(f"[machines.box]\n{lines}")
    transport = MachineTransport(folder / "m.toml")
    transport.dial(transport.nodes()[0])


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


MISTAKES = {
    "no key": ({"key": "missing"}, r'box: .*missing: No such file or directory; set key = "…" in .*m\.toml'),
    "no private key": ({"key": "text"}, "box: .*text isn't a private key"),
    "passphrase": ({"key": "locked"}, "box: the key .*locked has a passphrase; name one without"),
    "no known_hosts": (
        {"host_key": None, "known_hosts": "none"},
        "box: .*none has no key of 127.0.0.1: log in",
    ),
    "no public key": ({"host_key": "ssh-ed25519 AAAA"}, "box: host_key isn't a public key"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_key_that_can_t_be_used_is_one_line(keys, name):
    values, why = MISTAKES[name]
    with pytest.raises((EnvironmentFailure, UsageError), match=why):
        dial(keys, **values)


def test_a_machine_that_refuses_or_does_not_answer_is_one_line(keys, closed_port):
    with pytest.raises(EnvironmentFailure, match=f"box: 127.0.0.1:{closed_port}: Connection refused"):
        dial(keys, port=closed_port)


def test_a_missing_inventory_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"none.toml: No such file"):
        MachineTransport(tmp_path / "none.toml")


def test_a_host_key_is_known_by_itself_or_by_its_fingerprint():
    known, other = paramiko.RSAKey.generate(1024), paramiko.RSAKey.generate(1024)
    for key in (known, known.fingerprint):
        identity = Identity("lab", known, (key,))
        assert identity.accepts(known)
        assert not identity.accepts(other)


def test_only_algorithms_of_known_keys_are_offered():
    """Else the server might show its key of another type, which known_hosts doesn't have."""
    offered = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")
    key = paramiko.RSAKey.generate(1024)
    assert Identity("lab", key, (key,)).select(offered) == ["rsa-sha2-512", "rsa-sha2-256"]
    assert Identity("lab", key, (key.fingerprint,)).select(offered) == list(offered)


def test_the_copied_code_runs_without_anything_else(tmp_path):
    code = bundle("python3")
    with tarfile.open(fileobj=io.BytesIO(code.archive)) as archive:
        archive.extractall(tmp_path, filter="data")
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)}
    for program in ("lab-echo", "lab-udp", "lab-command", "lab-transfer"):
        done = subprocess.run([program, "--help"], env=environment, capture_output=True, text=True)
        assert done.stdout.startswith(f"usage: {program}"), done.stderr
    assert sys.version_info >= NEEDS


def test_the_same_code_has_the_same_name_and_another_interpreter_another_one():
    first = bundle("python3").name
    bundle.cache_clear()
    assert bundle("python3").name == first
    assert bundle("/opt/python/bin/python3").name != first
