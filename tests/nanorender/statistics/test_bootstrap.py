import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from nanorender.statistics import bootstrap
from nanorender.statistics.bootstrap import (
    FEW_PARTICLES,
    STATISTICS,
    Resampling,
    SizeSample,
    bootstrap_statistics,
    draw_counts,
    quantile,
    resampled_ratios,
)

weighted = st.lists(st.tuples(st.floats(1, 100), st.integers(1, 5)), min_size=2, max_size=20).map(
    lambda pairs: tuple(np.array(column, float) for column in zip(*sorted(pairs), strict=True))
)


@settings(deadline=None)
@given(weighted, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_quantiles_are_those_of_numpy(sample, share):
    sizes, weights = sample
    expected = np.quantile(sizes, share, weights=weights, method="inverted_cdf")
    assert quantile(share)(sizes, weights[None])[0] == expected


@settings(deadline=None)
@given(weighted)
def test_moments_of_equal_weights_are_those_of_numpy(sample):
    sizes, _ = sample
    once = np.ones((1, len(sizes)))
    assert STATISTICS["mean"].compute(sizes, once)[0] == pytest.approx(sizes.mean())
    assert STATISTICS["standard_deviation"].compute(sizes, once)[0] == pytest.approx(
        sizes.std(ddof=1), abs=1e-5
    )
    assert STATISTICS["geometric_standard_deviation"].compute(sizes, once)[0] == pytest.approx(
        np.exp(np.log(sizes).std(ddof=1)), abs=1e-5
    )


def test_the_mode_is_where_sizes_are_densest():
    rng = np.random.default_rng(0)
    sizes = np.sort(np.concatenate([rng.normal(50, 3, 3000), rng.normal(100, 20, 3000)]))
    assert STATISTICS["mode"].compute(sizes, np.ones((1, 6000)))[0] == pytest.approx(50, abs=1.5)
    assert STATISTICS["mode"].compute(np.full(5, 7.0), np.ones((2, 5))).tolist() == [7, 7]


def test_every_resample_has_the_size_of_the_sample():
    counts = draw_counts(np.random.default_rng(0), 500, 40)
    assert (counts.sum(axis=1) == 40).all()
    assert counts.mean(axis=0) == pytest.approx(1, abs=0.2)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(1)
    sizes = rng.normal(100, 10, 400)
    sample = SizeSample(sizes, np.ones(400), np.zeros(400, int), 1)
    found = bootstrap_statistics(sample, Resampling("particles", 3000, 0.95), rng)["mean"]
    half = 1.96 * sizes.std() / 20
    assert found.low == pytest.approx(sizes.mean() - half, abs=0.1)
    assert found.high == pytest.approx(sizes.mean() + half, abs=0.1)


def test_images_without_particles_are_resampled_too():
    sample = SizeSample(np.array([3.0, 4.0]), np.ones(2), np.array([0, 2]), 4)
    found = bootstrap_statistics(sample, Resampling("images", 300, 0.9), np.random.default_rng(2))[
        "mean"
    ]
    assert (found.low, found.value, found.high) == (3.0, 3.5, 4.0)


def test_intervals_have_their_nominal_coverage():
    truth = {"mean": 80 * np.exp(np.log(1.4) ** 2 / 2), "d50": 80.0}
    covered = dict.fromkeys(truth, 0)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sizes = 80 * np.exp(rng.normal(0, np.log(1.4), 100))
        sample = SizeSample(sizes, np.ones(100), np.zeros(100, int), 1)
        found = bootstrap_statistics(sample, Resampling("particles", 200, 0.95), rng)
        for name, value in truth.items():
            covered[name] += found[name].low <= value <= found[name].high
    for count in covered.values():
        assert 86 <= count <= 100  # 95 expected, standard deviation 2.2


def test_batches_of_resamples_give_what_all_resamples_at_once_give(monkeypatch):
    rng = np.random.default_rng(2)
    parts, wholes = rng.uniform(1, 2, 30), rng.uniform(0, 3, 30)
    sample = SizeSample(rng.lognormal(4, 0.3, 80), np.ones(80), rng.integers(0, 30, 80), 30)
    draws = Resampling("images", 101, 0.95)

    def both():
        ratios = resampled_ratios(parts, wholes, draws, np.random.default_rng(5))
        return ratios, bootstrap_statistics(sample, draws, np.random.default_rng(5))

    ratios, statistics = both()
    monkeypatch.setattr(bootstrap, "BATCH_ENTRIES", 7 * 80)
    batched, batched_statistics = both()
    np.testing.assert_allclose(batched, ratios, rtol=1e-12)
    for name, estimate in statistics.items():
        assert batched_statistics[name].high == pytest.approx(estimate.high, rel=1e-6)


def test_resamples_without_a_denominator_are_left_out():
    draws = Resampling("images", 200, 0.95)
    wholes = np.array([0.0, 0.0, 4.0])
    ratios = resampled_ratios(np.array([0.0, 0.0, 1.0]), wholes, draws, np.random.default_rng(0))
    assert 0 < len(ratios) < 200
    assert (ratios == 0.25).all()


def coverage(name, truth, count, samples=200):
    """Share of samples of log-normal sizes whose 95 % interval contains the truth."""
    rng, resampling = np.random.default_rng(0), Resampling("particles", 300, 0.95)
    hits = 0
    for _ in range(samples):
        sizes = np.exp(0.3 * rng.standard_normal(count))
        sample = SizeSample(sizes, np.ones(count), np.zeros(count, int), 1)
        found = bootstrap_statistics(sample, resampling, rng)[name]
        hits += found.low <= truth <= found.high
    return hits / samples


def test_intervals_of_few_particles_are_too_narrow():
    tenth = np.exp(0.3 * norm.ppf(0.1))
    assert coverage("d10", tenth, FEW_PARTICLES // 2) < 0.75
    assert coverage("d10", tenth, 2 * FEW_PARTICLES) > 0.9
    assert coverage("d50", 1.0, FEW_PARTICLES) > 0.88
