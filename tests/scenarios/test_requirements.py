"""A lab that lacks something that the scenario needs: unsupported, and nothing is run."""

from dataclasses import dataclass, replace

import pytest

from lab.control.host import Host
from lab.control.lab import Lab, ignore
from lab.control.machines import Machine, MachineLab
from lab.errors import Unsupported, UsageError
from lab.scenarios import catalog
from lab.scenarios.requirements import require
from lab.topology.node import Interface, Node

CODE = '''"""One line.

The lesson.
"""

NEEDS = ("hostname",)
PROGRAM = """
import socket
socket.create_connection(("server", 7001))
"""


def run(lab):
    return {"client": lab.packets().seen("servers"), "kali": 1}


def check(record):
    assert record["win10"] == ["kali", "router, in a sentence"]
'''


def machine(name, alias, segment, address6=""):
    node = Node(name, "host", (name, alias), (Interface(segment, "192.0.2.1/32", address6),))
    return Machine(node, lambda: None, None, ignore)


KALI = machine("client", "kali", "clients", "2001:db8::1")
WIN10 = machine("server", "win10", "servers")
FULL = MachineLab([KALI, WIN10], ignore, "machines")


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    (tmp_path / "made.py").write_text(CODE)
    return catalog.load("made")


def test_the_words_of_a_scenario_are_its_strings_and_those_in_its_programs_but_no_keys(scenario):
    names = {"client", "server", "kali", "win10", "servers", "clients", "router"}
    assert scenario.words & names == {"server", "servers", "kali"}
    assert scenario.needs == ("hostname",)


def test_an_unknown_need_is_a_mistake_in_the_scenario(scenario):
    (catalog.FOLDER / "made.py").write_text(CODE.replace('"hostname"', '"hostnames"'))
    with pytest.raises(UsageError, match="no need 'hostnames'; there are: hostname, ipv6, ssh"):
        catalog.load("made")


@pytest.mark.parametrize(
    ("machines", "missing"),
    [
        ([KALI, WIN10], ""),
        ([machine("client", "box", "clients"), WIN10], "kali"),
        ([KALI, machine("server", "win10", "lan")], "servers"),
        ([machine("box", "kali", "lan")], "server, servers"),
    ],
)
def test_on_machines_the_names_in_the_code_must_exist(scenario, machines, missing):
    scenario = replace(scenario, needs=())
    lab = MachineLab(machines, ignore, "machines")
    if not missing:
        require(scenario, lab)
        return
    with pytest.raises(Unsupported, match=f"its code has the names {missing}, which the inventory doesn't"):
        require(scenario, lab)


def test_a_lab_of_containers_may_have_other_names(scenario):
    require(scenario, Lab([Host(KALI.node, lambda: None, None, ignore)], ignore, "own"))


def test_features_that_machines_lack_are_named():
    with pytest.raises(Unsupported, match="no key to log in to each other"):
        FULL.require("ssh")
    with pytest.raises(Unsupported, match="win10 has no address6 in the inventory"):
        FULL.require("ipv6")


@pytest.mark.parametrize(("found", "needed"), [("kali", ""), ("box7", "the host name of kali is box7")])
def test_a_machine_may_have_another_host_name_unless_the_scenario_prints_it(monkeypatch, found, needed):
    @dataclass
    class Survey:
        hostname: str

    monkeypatch.setattr(Machine, "_survey", lambda self: Survey(found))
    lab = MachineLab([KALI], ignore, "machines")
    if needed:
        with pytest.raises(Unsupported, match=needed):
            lab.require("hostname")
    else:
        lab.require("hostname")
