"""The inventory of real machines: its keys, and one line for each mistake."""

import pytest

from lab.topology.inventory import InventoryError, parse

TWO = """\
user = "alice"
port = 2222

[machines.client]
address = "192.0.2.10/24"
aliases = ["kali"]

[machines.server]
address = "192.0.2.20"
address6 = "2001:db8::20"
aliases = ["web", "win10"]
ssh = "server.example.org"
user = "bob"
port = 22
key = "keys/bob"
host_key = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
python = "/opt/python/bin/python3"
segment = "dmz"
"""


def test_missing_keys_of_a_machine_come_from_the_top_or_the_defaults():
    client, _ = parse(TWO, "machines.toml")
    assert (client.ssh, client.port, client.user) == ("192.0.2.10", 2222, "alice")
    assert (client.key, client.known_hosts) == ("~/.ssh/id_ed25519", "~/.ssh/known_hosts")
    assert (client.host_key, client.python) == ("", "python3")
    assert client.node.names == ("client", "kali")
    assert client.node.addresses == ("192.0.2.10",)
    assert (client.node.role, client.node.segments, client.node.address6) == ("host", ("lan",), "")


def test_a_machine_can_have_all_keys_itself():
    _, server = parse(TWO, "machines.toml")
    assert (server.ssh, server.port, server.user) == ("server.example.org", 22, "bob")
    assert (server.key, server.python) == ("keys/bob", "/opt/python/bin/python3")
    assert server.host_key.startswith("SHA256:A")
    assert (server.node.title, server.node.segments) == ("win10", ("dmz",))
    assert server.node.addresses6 == ("2001:db8::20",)


MISTAKES = {
    "nothing": ("", 'm.toml:1: the inventory has no machines; add [machines.NAME] with address = "…"'),
    "not toml": (
        "user = \n",
        "m.toml:1: this isn't TOML: Invalid value; a string is in quotes, a table's name in brackets",
    ),
    "nested too deeply": (
        "user = " + "[" * 5000,
        "m.toml:1: this isn't TOML: nested too deeply; a string is in quotes, a table's name in brackets",
    ),
    "number with too many digits": (
        "port = " + "1" * 5000,
        "m.toml:1: this isn't TOML: Exceeds the limit (4300 digits) for integer string conversion: value has"
        " 5000 digits; use sys.set_int_max_str_digits() to increase the limit; a string is in quotes, a"
        " table's name in brackets",
    ),
    "unknown key at the top": (
        'user = "a"\nusers = "b"\n[machines.x]\naddress = "192.0.2.1"',
        "m.toml:2: unknown key 'users'; the keys are user, key, known_hosts, port, python, segment",
    ),
    "unknown key of a machine": (
        'user = "a"\n[machines.x]\nadress = "192.0.2.1"',
        "m.toml:3: machines.x: unknown key 'adress'; the keys are user, key, known_hosts, port, python,"
        " segment, address, address6, aliases, ssh, host_key",
    ),
    "not a table": (
        'user = "a"\n[machines]\nx = "192.0.2.1"',
        "m.toml:3: machines.x: it isn't a table; write [machines.x]",
    ),
    "no address": (
        'user = "a"\n\n[machines.x]\n',
        'm.toml:3: machines.x: address is missing; add address = "…"',
    ),
    "no user": (
        '[machines.x]\naddress = "192.0.2.1"',
        'm.toml:1: machines.x: user is missing; add user = "…"',
    ),
    "address": (
        'user = "a"\n[machines.x]\naddress = "192.0.2"',
        "m.toml:3: machines.x: address '192.0.2' isn't valid; write an IPv4 address: \"192.0.2.10\"",
    ),
    "address6": (
        'user = "a"\n[machines.x]\naddress = "192.0.2.1"\naddress6 = "192.0.2.2"',
        "m.toml:4: machines.x: address6 '192.0.2.2' isn't valid; write an IPv6 address: \"2001:db8::10\"",
    ),
    "type": (
        'user = "a"\n[machines.x]\naddress = "192.0.2.1"\nport = "22"',
        "m.toml:4: machines.x: port isn't a number; the default is 22",
    ),
    "port": (
        'user = "a"\nport = 0\n[machines.x]\naddress = "192.0.2.1"',
        "m.toml:2: port 0 isn't valid; a port is 1 to 65535",
    ),
    "host key": (
        'user = "a"\n[machines.x]\naddress = "192.0.2.1"\nhost_key = "any"',
        "m.toml:4: machines.x: host_key 'any' isn't valid; write its fingerprint, \"SHA256:…\", or its public"
        ' key, "ssh-ed25519 AAAA…"',
    ),
    "name": (
        'user = "a"\n[machines.My_Box]\naddress = "192.0.2.1"',
        "m.toml:2: machines.My_Box: 'My_Box' isn't a host name; use a-z, 0-9 and hyphens",
    ),
    "alias twice": (
        'user = "a"\n[machines.x]\naddress = "192.0.2.1"\n[machines.y]\naddress = "192.0.2.2"\n'
        'aliases = ["x"]',
        "m.toml:4: machines.y: x belongs to x already; use each name and each address for one machine only",
    ),
    "address twice": (
        'user = "a"\n[machines.x]\naddress = "192.0.2.1"\n[machines.y]\naddress = "192.0.2.1"',
        "m.toml:4: machines.y: 192.0.2.1 belongs to x already; use each name and each address for one"
        " machine only",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_its_place_and_its_remedy(name):
    text, expected = MISTAKES[name]
    with pytest.raises(InventoryError) as caught:
        parse(text, "m.toml")
    assert str(caught.value) == expected
    assert caught.value.exit_code == 2
