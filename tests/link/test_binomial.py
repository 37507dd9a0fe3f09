"""Exact confidence intervals for proportions, compared with R."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link.binomial import interval, upper_tail


def test_the_interval_is_that_of_clopper_and_pearson():
    assert interval(4, 100, 0.05) == pytest.approx(
        (0.01100449, 0.09925716), abs=1e-7
    )  # R: binom.test(4, 100)
    assert interval(0, 100, 0.05) == pytest.approx((0.0, 0.03621669), abs=1e-7)
    assert interval(100, 100, 0.05) == pytest.approx((0.96378331, 1.0), abs=1e-7)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_contains_the_observed_share(counts):
    count, total = counts
    low, high = interval(count, total, 1e-6)
    assert 0 <= low <= count / total <= high <= 1


def test_the_upper_tail_has_exact_values():
    assert upper_tail(1, 3, 0.5) == pytest.approx(7 / 8)
    assert upper_tail(3, 3, 0.5) == pytest.approx(1 / 8)
    assert (upper_tail(0, 3, 0.5), upper_tail(4, 3, 0.5)) == (1.0, 0.0)
    assert (upper_tail(1, 3, 0.0), upper_tail(3, 3, 1.0)) == (0.0, 1.0)
