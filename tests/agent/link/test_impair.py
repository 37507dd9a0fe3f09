"""Requests that the router's impair refuses. Its effects are tested in tests/control/link/test_link.py."""

import json
import subprocess
import sys

import pytest


def ask(text, *words):
    argv = [sys.executable, "-m", "lab.agent.link.impair", *words]
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    "text", ["", "\n", "show", "[]", "{}", '{"op": "destroy"}', '{"op": 1}', "[" * 100_000]
)
def test_an_invalid_request_is_refused_in_one_line(text):
    done = ask(text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("impair: the request")
    assert len(done.stderr.splitlines()) == 1


def test_arguments_are_refused_and_help_lists_exit_codes():
    assert ask("", "--backend").returncode == 2
    assert "Exit codes" in ask("", "--help").stdout


@pytest.mark.lab
@pytest.mark.parametrize(
    "request_",
    [
        {"op": "apply"},
        {"op": "apply", "interfaces": {"clients": "eth0", "servers": "eth1"}},
        {"op": "apply", "interfaces": {"clients": "10.99.99.99", "servers": "10.99.99.98"}},
        {"op": "apply", "interfaces": None, "link": {"to-servers": {"delay": "1; reboot"}}},
        {"op": "apply", "link": {"to-servers": {"delay": -1}}},
        {"op": "apply", "between": ["clients", "office"]},
        {"op": "partition", "partition": {"sets": [["10.1.1.1"]]}},
        {"op": "apply", "backend": "tc"},
        {"op": "apply", "seed": 7},
        {"op": "apply", "link": {"to-office": {"delay": 1}}},
        {"op": "apply", "link": {"drops": [{"nth": [1]}]}, "counted": [[0]]},
        {"op": "apply", "interfaces": {"a b": "10.99.99.99", "servers": "10.99.99.98"}},
        {"op": "clear"},
    ],
)
def test_a_request_with_invalid_settings_changes_nothing(shared_lab, request_):
    own = dict(zip(shared_lab.router.node.segments, shared_lab.router.node.addresses, strict=True))
    if request_["op"] != "clear" and len(request_) > 1:
        request_ = {"interfaces": own, "between": list(own)} | request_
    done = shared_lab.router.ask("sudo -n /usr/lib/socketlab/impair", stdin=json.dumps(request_) + "\n")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("impair: ")
    assert shared_lab.link.show().settings.is_nothing
