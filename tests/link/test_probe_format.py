"""The probes that measure a link."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link import probe_format
from lab.link.probe_format import Observation, build_probe, longest_transit, plan, read_probe
from lab.link.settings import Impairment


@pytest.mark.parametrize("rate", [None, 8e3, 64e3, 1e6, 1e9, 10e9])
def test_probes_fit_a_slow_link_and_take_a_few_seconds(rate):
    asked = Impairment(rate=rate)
    chosen = plan(asked)
    bits = (probe_format.PROBE_SIZE + probe_format.OVERHEAD) * 8
    assert chosen.interval >= bits / ((rate or 1e12) * probe_format.LINE_SHARE) * 0.999
    assert chosen.count * chosen.interval <= max(probe_format.SPAN, probe_format.FEWEST * chosen.interval)
    assert longest_transit(asked) < (20 if rate == 8e3 else 4)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 40 * 8 - 1))
def test_a_corrupted_probe_is_detected(number, sent_at, bit):
    probe = build_probe(number, sent_at, 40)
    assert read_probe(probe) == (number, sent_at)
    changed = bytearray(probe)
    changed[bit // 8] ^= 1 << bit % 8
    assert read_probe(bytes(changed)) is None


def test_other_datagrams_are_not_probes():
    assert read_probe(b"") is None
    assert read_probe(struct.pack("!IQI", 1, 2, 3)) is None


def test_late_probes_and_a_full_buffer_show_that_the_machine_is_busy():
    assert not Observation(2000, [], late=20).is_disturbed
    assert Observation(2000, [], late=21).is_disturbed
    assert Observation(2000, [], overflowed=1).is_disturbed
    assert not Observation(2000, []).is_disturbed  # lost packets don't
