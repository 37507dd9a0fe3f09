"""Verification of a link: correct links pass, wrong ones don't, within the claimed error probabilities."""

import functools
import random

import pytest

from lab.link import verification
from lab.link.binomial import upper_tail
from lab.link.probe_format import COUNT, Observation
from lab.link.settings import Impairment
from lab.link.verification import ALPHA, ATTEMPTS, LEVEL, Attempt, Check, judge


def simulate(asked, sent=2000, seed=1, busy=False):
    """The probes of a link that does exactly what was requested. A ``busy`` machine delays and loses some."""
    chance = random.Random(seed)
    arrivals, corrupted = [], 0
    for number in range(sent):
        if chance.random() < asked.loss or (busy and chance.random() < 0.01):
            continue
        if chance.random() < asked.corruption:
            corrupted += 1
            continue
        delay = asked.delay + chance.uniform(-asked.jitter, asked.jitter)
        delay = (0 if chance.random() < asked.reordering else delay) + chance.expovariate(10_000)
        delay += chance.expovariate(100) if busy and chance.random() < 0.6 else 0
        arrivals += [(number, delay)] * (2 if chance.random() < asked.duplication else 1)
    rate = asked.rate or 0.0
    return Observation(sent, arrivals, corrupted, int(rate / 8), 1.0, rate * 3, late=100 * busy)


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
def test_a_correct_link_passes(asked):
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
def test_a_wrong_link_is_rejected(asked, does, what):
    assert what in wrong(asked, simulate(does))


def test_a_cut_link_must_carry_nothing():
    assert wrong(Impairment(delay=0.02), Observation(200, []), cut=True) == []
    assert wrong(Impairment(), Observation(200, [(0, 0.001)]), cut=True) == ["loss"]


def test_a_cut_link_that_should_be_open_is_rejected():
    assert wrong(Impairment(), Observation(200, [])) == ["loss"]


def test_one_lost_probe_is_too_many_if_none_may_be_lost():
    assert wrong(Impairment(), Observation(3, [(0, 0.0), (2, 0.0)])) == ["loss"]


def test_a_rate_that_the_probes_cannot_reach_is_not_judged():
    seen = Observation(1, [(0, 0.0)], 0, 1_000_000, 0.1, offered=80e6)
    (check,) = [check for check in judge(Impairment(rate=1e9), seen) if check.what == "rate"]
    assert check.ok is None
    assert "80 Mbit/s" in check.note


def attempts(asked, does, seeds, busy):
    """The attempts of a verification: as many as it needs to decide."""
    made = []
    for seed in seeds[:ATTEMPTS]:
        seen = simulate(does, seed=seed, busy=busy(len(made)))
        made.append(Attempt(0.0, {"to-dmz": judge(asked, seen)}, seen.is_disturbed))
        if made[-1].decides:
            break
    return made


def passes(made):
    return not made[-1].wrong


def always(_):
    return True


def never(_):
    return False


ASKED = Impairment(delay=0.02, jitter=0.005, loss=0.1)


def test_a_correct_link_passes_once_the_machine_is_less_busy():
    for seed in range(0, 100, 10):
        made = attempts(ASKED, ASKED, range(seed, seed + 10), busy=lambda number: number < 3)
        assert [bool(attempt.wrong) for attempt in made] == [True, True, True, False]


@pytest.mark.parametrize(
    "does",
    [
        Impairment(delay=0.02, jitter=0.005),
        Impairment(delay=0.02, jitter=0.005, loss=0.2),
        Impairment(delay=0.01, jitter=0.005, loss=0.1),
        Impairment(delay=0.02, jitter=0.005, loss=0.1, duplication=0.05),
        Impairment(delay=0.02, jitter=0.005, loss=0.1, corruption=0.05),
        Impairment(),
    ],
    ids=Impairment.describe,
)
def test_a_wrong_link_is_measured_once_on_an_idle_machine_and_rejected_on_a_busy_one(does):
    assert len(attempts(ASKED, does, range(ATTEMPTS), busy=never)) == 1
    for busy in (never, always, lambda number: number % 2 == 0):
        for seed in range(0, 100, 10):
            assert not passes(attempts(ASKED, does, range(seed, seed + 10), busy))


def check(what, asked, measured, ok=False):
    return Check(what, asked, measured, measured, measured, ok)


@pytest.mark.parametrize(
    ("wrong", "again"),
    [
        (check("loss", 0.1, 0.2), True),
        (check("loss", 0.1, 0.0), False),
        (check("delay", 0.02, 0.03), True),
        (check("delay", 0.02, 0.01), False),
        (check("jitter", 0.0, 0.01), True),
        (check("jitter", 0.01, 0.0), False),
        (check("reordering", 0.3, 0.2), True),
        (check("reordering", 0.3, 0.4), False),
        (check("rate", 1e6, 0.8e6), True),
        (check("rate", 1e6, 1.2e6), False),
        (check("duplication", 0.0, 0.1), False),
        (check("corruption", 0.0, 0.1), False),
    ],
    ids=lambda value: value.what + " " + str(value.measured) if isinstance(value, Check) else "",
)
def test_a_link_is_measured_again_only_if_a_busy_machine_can_cause_the_deviation(wrong, again):
    right = check("loss", 0.1, 0.1, ok=True)
    late = check("delay", 0.02, 0.03)
    assert Attempt(0.0, {"to-dmz": [right, wrong]}, disturbed=True).decides != again
    assert Attempt(0.0, {"to-dmz": [late], "to-office": [wrong]}, disturbed=True).decides != again
    assert Attempt(0.0, {"to-dmz": [right, wrong]}, disturbed=False).decides
    assert Attempt(0.0, {"to-dmz": [right]}, disturbed=True).decides


def acceptance(asked, actual, level=LEVEL, count=COUNT):
    """The probability that one measurement accepts a link that loses ``actual`` instead of ``asked``."""

    def tails(lost):
        return 1 - upper_tail(lost + 1, count, asked), upper_tail(lost, count, asked)

    accepted = [lost for lost in range(count + 1) if min(tails(lost)) >= level / 2]
    return upper_tail(accepted[0], count, actual) - upper_tail(accepted[-1] + 1, count, actual)


def test_the_claimed_error_probability_of_a_correct_link_holds():
    for asked in (0.0, 0.001, 0.1, 0.5):
        assert (1 - acceptance(asked, asked)) * ATTEMPTS * verification.CHECKS <= ALPHA * 1.001


@pytest.mark.parametrize(
    ("asked", "actual"), [(0.0, 0.01), (0.1, 0.185), (0.1, 0.035), (0.01, 0.05), (0.5, 0.62), (0.5, 0.38)]
)
def test_the_claimed_error_probability_of_a_wrong_link_holds_in_all_attempts_together(asked, actual):
    assert acceptance(asked, actual) * ATTEMPTS <= ALPHA


def test_whole_verifications_fail_as_rarely_as_claimed():
    """Simulates a permanently busy machine, with a large ALPHA so that errors occur."""
    alpha, count, runs = 0.05, 200, 3000
    level = alpha / (ATTEMPTS * verification.CHECKS)
    wrong = next(
        n / count for n in range(20, count) if acceptance(0.1, n / count, level, count) <= alpha / ATTEMPTS
    )
    chance = random.Random(7)

    @functools.cache
    def attempt(lost):
        seen = Observation(count, [(number, 0.0) for number in range(lost, count)], late=count)
        return Attempt(0.0, {"to-dmz": judge(Impairment(loss=0.1), seen, level=level)}, seen.is_disturbed)

    def verify(loss):
        for _ in range(ATTEMPTS):
            made = attempt(sum(chance.random() < loss for _ in range(count)))
            if made.decides:
                break
        return not made.wrong

    assert alpha / 10 < sum(verify(wrong) for _ in range(runs)) / runs < alpha * 1.2
    assert sum(not verify(0.1) for _ in range(runs)) / runs < alpha * 1.2
