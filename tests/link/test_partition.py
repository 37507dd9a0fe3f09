"""Partitions as data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link.errors import ImpairmentError
from lab.link.partition import MAX_SETS, Partition

ADDRESSES = st.ip_addresses().map(str)


@given(st.lists(ADDRESSES, min_size=2, max_size=MAX_SETS, unique=True))
def test_a_partition_survives_json(addresses):
    partition = Partition(tuple((address,) for address in addresses))
    assert Partition.from_json(partition.as_json()) == partition


@given(st.lists(ADDRESSES, min_size=2, max_size=8, unique=True), st.booleans())
def test_packets_are_dropped_between_sets_and_never_within_one(addresses, one_way):
    half = len(addresses) // 2
    first, second = tuple(addresses[:half]), tuple(addresses[half:])
    partition = Partition((first, second), one_way)
    assert all(partition.drops(a, b) for a in first for b in second)
    assert all(partition.drops(b, a) != one_way for a in first for b in second)
    assert not any(partition.drops(a, b) for a in first for b in first)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "partition must be an object"),
        ({}, "sets must be a list"),
        ({"sets": [["10.1.0.1"]]}, "must have 2 to 16 sets, not 1"),
        ({"sets": [["10.1.0.1"], []]}, "each set must have 1 to 512"),
        ({"sets": [["10.1.0.1"], ["10.1.0.1"]]}, "no address in common"),
        ({"sets": [["fd01::1"], ["fd01:0::1"]]}, "no address in common"),
        ({"sets": [["10.1.0.1"], ["10.1.0.2; reboot"]]}, "is not an address"),
        ({"sets": [["10.1.0.1"], ["10.1.0.0/24"]]}, "is not an address"),
        ({"sets": [["10.1.0.1"], [7]]}, "address must be a string"),
        ({"sets": [["10.1.0.1"], ["10.1.0.2"]], "one_way": 1}, "one_way must be true or false"),
        ({"sets": [["10.1.0.1"], ["10.1.0.2"], ["10.1.0.3"]], "one_way": True}, "exactly 2 sets, not 3"),
        ({"sets": [["10.1.0.1"], ["10.1.0.2"]], "reject": True}, "unknown key"),
    ],
)
def test_anything_else_is_refused(value, problem):
    with pytest.raises(ImpairmentError, match=problem):
        Partition.from_json(value)
