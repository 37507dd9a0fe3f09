"""The judgement over a link: right links pass, wrong ones don't, and how sure that is."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link import verification
from lab.link.settings import Impairment
from lab.link.verification import Observation, build_probe, interval, judge, patience, plan, read_probe


def test_the_interval_is_clopper_and_pearsons():
    assert interval(4, 100, 0.05) == pytest.approx(
        (0.01100449, 0.09925716), abs=1e-7
    )  # R: binom.test(4, 100)
    assert interval(0, 100, 0.05) == pytest.approx((0.0, 0.03621669), abs=1e-7)
    assert interval(100, 100, 0.05) == pytest.approx((0.96378331, 1.0), abs=1e-7)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_what_was_seen(counts):
    count, total = counts
    low, high = interval(count, total)
    assert 0 <= low <= count / total <= high <= 1


def simulate(asked, sent=2000, seed=1, noise=0.0001):
    """A link that does exactly what is asked."""
    chance = random.Random(seed)
    arrivals, corrupted = [], 0
    for number in range(sent):
        if chance.random() < asked.loss:
            continue
        if chance.random() < asked.corruption:
            corrupted += 1
            continue
        delay = asked.delay + chance.uniform(-asked.jitter, asked.jitter)
        delay = (0 if chance.random() < asked.reordering else delay) + chance.expovariate(1 / noise)
        arrivals += [(number, delay)] * (2 if chance.random() < asked.duplication else 1)
    rate = asked.rate or 0.0
    return Observation(sent, arrivals, corrupted, int(rate / 8), 1.0, rate * 3)


def wrong(asked, seen, **options):
    return [check.what for check in judge(asked, seen, **options) if check.ok is not True]


GRID = [
    Impairment(),
    Impairment(loss=0.001),
    Impairment(loss=0.5),
    Impairment(loss=1),
    Impairment(delay=0.001),
    Impairment(delay=0.02, jitter=0.02),
    Impairment(delay=2, jitter=0.5, loss=0.1, duplication=0.1, reordering=0.1, corruption=0.1),
    Impairment(delay=0.1, jitter=0.1, reordering=0.3),
    Impairment(rate=1e6),
]


@pytest.mark.parametrize("asked", GRID, ids=Impairment.describe)
def test_a_link_that_does_what_was_asked_passes(asked):
    for seed in range(10):
        assert wrong(asked, simulate(asked, seed=seed)) == []


@pytest.mark.parametrize(
    ("asked", "does", "what"),
    [
        (Impairment(loss=0.1), Impairment(), "loss"),
        (Impairment(), Impairment(loss=0.01), "loss"),
        (Impairment(loss=0.1), Impairment(loss=0.2), "loss"),
        (Impairment(duplication=0.1), Impairment(), "duplication"),
        (Impairment(corruption=0.1), Impairment(), "corruption"),
        (Impairment(), Impairment(corruption=0.1), "corruption"),
        (Impairment(delay=0.02), Impairment(), "delay"),
        (Impairment(), Impairment(delay=0.02), "delay"),
        (Impairment(delay=0.02), Impairment(delay=0.025), "delay"),
        (Impairment(delay=0.02, jitter=0.01), Impairment(delay=0.02), "jitter"),
        (Impairment(delay=0.02), Impairment(delay=0.02, jitter=0.01), "jitter"),
        (Impairment(delay=0.02, reordering=0.2), Impairment(delay=0.02), "reordering"),
        (Impairment(delay=0.02), Impairment(delay=0.02, reordering=0.2), "reordering"),
        (Impairment(rate=1e6), Impairment(rate=2e6), "rate"),
    ],
    ids=str,
)
def test_a_link_that_does_something_else_is_caught(asked, does, what):
    assert what in wrong(asked, simulate(does))


def test_a_cut_link_must_carry_nothing():
    assert wrong(Impairment(delay=0.02), Observation(200, []), cut=True) == []
    assert wrong(Impairment(), Observation(200, [(0, 0.001)]), cut=True) == ["loss"]


def test_a_link_that_should_be_open_and_carries_nothing_is_caught():
    assert wrong(Impairment(), Observation(200, [])) == ["loss"]


def test_one_lost_probe_is_too_many_where_none_may_be_lost():
    assert wrong(Impairment(), Observation(3, [(0, 0.0), (2, 0.0)])) == ["loss"]


def test_a_rate_that_the_probe_cannot_reach_is_not_judged_and_says_so():
    seen = Observation(1, [(0, 0.0)], 0, 1_000_000, 0.1, offered=80e6)
    (check,) = [check for check in judge(Impairment(rate=1e9), seen) if check.what == "rate"]
    assert check.ok is None
    assert "80 Mbit/s" in check.note


@pytest.mark.parametrize("rate", [None, 8e3, 64e3, 1e6, 1e9, 10e9])
def test_probes_leave_room_on_a_slow_line_and_take_a_few_seconds(rate):
    asked = Impairment(rate=rate)
    chosen = plan(asked)
    bits = (verification.PROBE_SIZE + verification.OVERHEAD) * 8
    assert chosen.interval >= bits / ((rate or 1e12) * verification.LINE_SHARE) * 0.999
    assert chosen.count * chosen.interval <= max(verification.SPAN, verification.FEWEST * chosen.interval)
    assert patience(asked) < (20 if rate == 8e3 else 4)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 40 * 8 - 1))
def test_a_probe_that_was_changed_is_noticed(number, sent_at, bit):
    probe = build_probe(number, sent_at, 40)
    assert read_probe(probe) == (number, sent_at)
    changed = bytearray(probe)
    changed[bit // 8] ^= 1 << bit % 8
    assert read_probe(bytes(changed)) is None


def test_what_is_no_probe():
    assert read_probe(b"") is None
    assert read_probe(struct.pack("!IQI", 1, 2, 3)) is None
