import numpy as np
import pytest
from scipy import integrate, stats

from nanorender.statistics.fits import best_fit, fit_sizes


def lognormal(rng, median, gsd, count):
    return median * np.exp(rng.normal(0, np.log(gsd), count))


def test_a_lognormal_fit_is_that_of_scipy():
    sizes = lognormal(np.random.default_rng(0), 50, 1.3, 500)
    fit = fit_sizes(sizes, np.ones(500))[1]
    shape, _, scale = stats.lognorm.fit(sizes, floc=0)
    assert fit.centers[0] == pytest.approx(scale, rel=1e-4)
    assert fit.spreads[0] == pytest.approx(np.exp(shape), rel=1e-4)
    expected = stats.lognorm.logpdf(sizes, shape, 0, scale).sum()
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-6)
    assert fit.aic == pytest.approx(4 - 2 * expected, rel=1e-6)
    assert fit.bic == pytest.approx(2 * np.log(500) - 2 * expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("normal", lambda rng: rng.normal(100, 25, 2000)),
        ("log-normal", lambda rng: lognormal(rng, 100, 1.5, 2000)),
        (
            "mixture of 2 log-normal components",
            lambda rng: np.append(lognormal(rng, 20, 1.2, 1200), lognormal(rng, 80, 1.3, 800)),
        ),
    ],
)
def test_bic_chooses_the_distribution_that_was_drawn_from(name, draw):
    sizes = np.abs(draw(np.random.default_rng(4)))
    fit = best_fit(fit_sizes(sizes, np.ones(len(sizes))), "bic")
    assert fit is not None
    assert fit.name == name


def test_the_components_of_a_mixture_are_found():
    rng = np.random.default_rng(1)
    sizes = np.append(lognormal(rng, 20, 1.2, 1200), lognormal(rng, 80, 1.3, 800))
    fit = fit_sizes(sizes, np.ones(2000))[2]
    assert fit.weights == pytest.approx((0.6, 0.4), abs=0.02)
    assert fit.centers == pytest.approx((20, 80), rel=0.02)
    assert fit.spreads == pytest.approx((1.2, 1.3), abs=0.02)


def test_densities_integrate_to_the_cumulative_share():
    rng = np.random.default_rng(2)
    for fit in fit_sizes(lognormal(rng, 50, 1.4, 300), np.ones(300)):
        grid = np.linspace(20, 120, 20_001)
        area = integrate.trapezoid(fit.density(grid), grid)
        low, high = fit.cumulative(np.array([20.0, 120.0]))
        assert area == pytest.approx(high - low, abs=1e-5)


def test_whole_weights_count_like_repeated_sizes():
    sizes = lognormal(np.random.default_rng(3), 50, 1.4, 60)
    twice = fit_sizes(np.repeat(sizes, 2), np.ones(120))[1]
    weighted = fit_sizes(sizes, np.full(60, 2.0))[1]
    assert weighted.centers == pytest.approx(twice.centers)
    assert weighted.spreads == pytest.approx(twice.spreads)


def test_too_few_different_sizes_have_no_fit():
    assert fit_sizes(np.array([5.0, 5.0, 6.0, 6.0]), np.ones(4)) == ()
    assert best_fit((), "aic") is None
    assert len(fit_sizes(np.arange(1.0, 20.0), np.ones(19))) == 2
