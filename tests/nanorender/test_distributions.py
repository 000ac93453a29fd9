import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from nanorender.distributions import (
    Constant,
    Distribution,
    LogNormal,
    Mixture,
    Normal,
    PositiveDistribution,
    Uniform,
)

COUNT = 20_000


def draw(distribution):
    return distribution.sample(np.random.default_rng(1), COUNT)


def test_a_bare_number_is_a_constant():
    assert TypeAdapter(Distribution).validate_python(3) == Constant(value=3)


def test_uniform_has_the_mean_and_variance_of_its_interval():
    values = draw(Uniform(low=2, high=8))
    assert values.mean() == pytest.approx(5, abs=4 * 6 / np.sqrt(12 * COUNT))
    assert values.var() == pytest.approx(3, rel=0.03)
    assert values.min() >= 2
    assert values.max() <= 8


def test_normal_has_its_mean_and_standard_deviation():
    values = draw(Normal(mean=10, sd=2))
    assert values.mean() == pytest.approx(10, abs=4 * 2 / np.sqrt(COUNT))
    assert values.std() == pytest.approx(2, rel=0.03)


def test_lognormal_has_its_median_and_geometric_standard_deviation():
    values = draw(LogNormal(median=100, gsd=1.5))
    assert np.median(values) == pytest.approx(100, rel=0.02)
    assert np.exp(np.log(values).std()) == pytest.approx(1.5, rel=0.02)


def test_limits_are_kept():
    values = draw(LogNormal(median=100, gsd=2, minimum=50, maximum=150))
    assert values.min() == 50
    assert values.max() == 150


def test_a_mixture_draws_by_its_weights():
    mixture = Mixture(components=(Constant(value=1), Constant(value=2)), weights=(1, 3))
    assert (draw(mixture) == 2).mean() == pytest.approx(0.75, abs=4 * np.sqrt(0.1875 / COUNT))
    assert mixture.typical() == 2
    assert mixture.lowest() == 1


@pytest.mark.parametrize(
    "bad",
    [-1, {"kind": "uniform", "low": -1, "high": 2}, {"kind": "normal", "mean": 5, "sd": 9}],
)
def test_a_size_that_could_be_negative_is_refused(bad):
    with pytest.raises(ValidationError, match="positive"):
        TypeAdapter(PositiveDistribution).validate_python(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "uniform", "low": 2, "high": 1},
        {"kind": "lognormal", "median": 1, "gsd": 0.5},
        {"kind": "mixture", "components": [1, 2], "weights": [1]},
        {"kind": "poisson", "mean": 3},
        True,
    ],
)
def test_invalid_distribution_is_refused(bad):
    with pytest.raises(ValidationError):
        TypeAdapter(Distribution).validate_python(bad)
