"""Prefixes: invalid ones are refused by name."""

import pytest

from lab.topology.prefixes import PrefixError, network, parse, prefix_of, variable


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("172.28", "'172.28' is not a prefix; an example is 172.28.66"),
        ("172.28.66.0", "'172.28.66.0' is not a prefix"),
        ("172.28.256", "'172.28.256' is not a prefix"),
        ("x; reboot", "'x; reboot' is not a prefix"),
        ("172.40.66", "172.40.66 is a public address range; use a private one, such as 172.28.66"),
        ("2a00:1450", "2a00:1450 is a public address range; use a private one, such as fd28:66"),
        ("fd28::66", "'fd28::66' is not a prefix; an example is fd28:66"),
    ],
)
def test_an_invalid_prefix_is_refused_by_name(prefix, text):
    with pytest.raises(PrefixError, match=text):
        network(prefix)


@pytest.mark.parametrize("prefix", ["10.0.0", "192.168.40", "fd28:66", "fd28:66:1", "fd28:66:1:2"])
def test_the_prefix_of_a_network_is_recovered(prefix):
    assert prefix_of(network(prefix)) == prefix


def test_an_argument_names_a_network_and_its_prefix():
    found = parse(["core=10.1.2", "office=fd00:1", "office=10.1.3"])
    assert [(name, str(each)) for name, each in found] == [
        ("core", "10.1.2.0/24"),
        ("office", "fd00:1::/64"),
        ("office", "10.1.3.0/24"),
    ]


@pytest.mark.parametrize("word", ["", "core", "core=", "=10.1.2"])
def test_any_other_argument_is_refused(word):
    with pytest.raises(PrefixError, match="is not NETWORK=PREFIX"):
        parse([word])


@pytest.mark.parametrize(
    ("network", "ipv6", "name"),
    [("office", False, "LAB_OFFICE_PREFIX"), ("back-end", True, "LAB_BACK_END_PREFIX6")],
)
def test_a_networks_variable(network, ipv6, name):
    assert variable(network, ipv6=ipv6) == name
