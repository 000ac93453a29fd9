import numpy as np
import pytest
from scipy import stats

from nanorender.scoring.agreement import size_agreement


def test_a_shifted_distribution_is_as_far_as_its_shift():
    sizes = np.random.default_rng(0).normal(50, 5, 300)
    found = size_agreement(sizes + 4, sizes)
    assert found.wasserstein == pytest.approx(4)
    assert found.median_ratio == pytest.approx((np.median(sizes) + 4) / np.median(sizes))


def test_the_greatest_difference_of_shares_is_that_of_scipy():
    rng = np.random.default_rng(1)
    sizes, true_sizes = rng.normal(50, 5, 80).round(), rng.normal(53, 8, 120).round()
    expected = stats.ks_2samp(sizes, true_sizes).statistic
    assert size_agreement(sizes, true_sizes).kolmogorov_smirnov == pytest.approx(expected)


def test_nothing_agrees_with_an_empty_distribution():
    found = size_agreement(np.zeros(0), np.ones(3))
    assert np.isnan(list(found.to_dict().values())).all()
