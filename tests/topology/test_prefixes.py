"""Prefixes: invalid ones are refused by name, and the chosen ones are free."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.topology.prefixes import PrefixError, choose, disjoint, network, overlap, parse, prefix_of

DEFAULTS = {"office": "192.168.40", "core": "172.28.66", "mgmt": "172.28.255"}
DEFAULTS6 = {"office": "fd28:40", "core": "fd28:66"}


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


def test_two_networks_of_a_lab_can_t_have_one_prefix():
    with pytest.raises(PrefixError, match=r"two networks have the prefix of 10.0.1.0/24"):
        disjoint(["10.0.1", "fd28:66", "10.0.1"])


@given(seed=st.text(max_size=20), prefixes=st.lists(st.integers(0, 255), max_size=40))
def test_chosen_prefixes_are_free_and_apart(seed, prefixes):
    taken = [ipaddress.ip_network(f"172.28.{number}.0/24") for number in prefixes]
    taken += [ipaddress.ip_network("192.168.32.0/20"), ipaddress.ip_network("fd28:100::/24")]
    found = choose(DEFAULTS, DEFAULTS6, taken, seed)
    if found is None:
        assert len(prefixes) > 10
        return
    chosen, chosen6 = found
    assert (set(chosen), set(chosen6)) == (set(DEFAULTS), set(DEFAULTS6))
    for mine in disjoint([*chosen.values(), *chosen6.values()]):
        assert not any(overlap(mine, other) for other in taken)


def test_the_defaults_themselves_are_never_chosen():
    found = [choose(DEFAULTS, DEFAULTS6, [], f"lab-{number}") for number in range(200)]
    assert not any(DEFAULTS[name] == chosen[name] for chosen, _ in found for name in DEFAULTS)
    assert len({chosen["core"] for chosen, _ in found}) > 60


def test_there_is_no_choice_if_every_prefix_is_taken():
    assert choose(DEFAULTS, DEFAULTS6, [ipaddress.ip_network("172.16.0.0/12")], "lab") is None


def test_an_argument_names_a_network_and_its_prefix():
    assert parse(["core=10.1.2", "office=fd00:1", "office=10.1.3"]) == (
        {"core": "10.1.2", "office": "10.1.3"},
        {"office": "fd00:1"},
    )


@pytest.mark.parametrize("word", ["", "core", "core=", "=10.1.2"])
def test_any_other_argument_is_refused(word):
    with pytest.raises(PrefixError, match="is not NETWORK=PREFIX"):
        parse([word])
