import numpy as np
import pytest

from nanorender.correction import correction
from nanorender.correction.correction import STATISTICS, StudySizes, correct, share_below
from nanorender.correction.detection import detection_by_size
from nanorender.correction.response import TwinResponse
from nanorender.correction.unfolding import WeightedSizes, unfold

LEAST = 5.0


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(correction, "RESAMPLES", 30)


def observe(true, rng):
    """Miss small particles, and measure the others 8 % too large."""
    found = rng.random(len(true)) < np.clip(true / 25, 0, 0.98)
    return np.where(found, 1.08 * true * rng.normal(1, 0.03, len(true)), np.nan)


def response_of(median, spread, rng, twins=24, each=150):
    true = rng.lognormal(np.log(median), spread, twins * each)
    false = rng.uniform(5, 10, 3 * twins)
    return TwinResponse(
        true,
        observe(true, rng),
        false,
        np.repeat(np.arange(twins), each),
        np.repeat(np.arange(twins), 3),
        twins,
        float(twins * 10_000),
    )


def study_of(median, spread, rng, images=6, each=150):
    true = rng.lognormal(np.log(median), spread, images * each)
    seen = observe(true, rng)
    found = np.concatenate([seen[~np.isnan(seen)], rng.uniform(5, 10, 3 * images)])
    image_of = np.concatenate(
        [np.repeat(np.arange(images), each)[~np.isnan(seen)], np.repeat(np.arange(images), 3)]
    )
    return true, StudySizes(found, image_of, np.full(images, 10_000.0))


def value(name, true, images=6):
    counted = true[true >= LEAST]
    return STATISTICS[name].compute(
        WeightedSizes(counted, np.ones(len(counted))), images * 10_000.0
    )


@pytest.mark.parametrize("median", [18.0, 20.0, 23.0])
def test_sizes_and_number_are_corrected_though_twins_differ(median):
    rng = np.random.default_rng(3)
    response = response_of(20.0, 0.35, rng)
    true, study = study_of(median, 0.35, rng)
    found = correct(study, response, LEAST, STATISTICS, 0.0, np.random.default_rng(0))
    for name, one in found.items():
        raw, after = abs(one.raw / value(name, true) - 1), one.corrected.value / value(name, true)
        assert abs(after - 1) < 0.05
        assert abs(after - 1) < raw or raw < 0.02
        assert one.corrected.low < value(name, true) < one.corrected.high


def test_wider_distributions_than_that_of_the_twins_are_recovered():
    rng = np.random.default_rng(5)
    _, study = study_of(20.0, 0.45, rng, images=10, each=300)
    unfolded = unfold(study.sizes, 1e5, response_of(20.0, 0.35, rng, each=400))
    spread = np.sqrt(np.cov(np.log(unfolded.sizes), aweights=unfolded.weights))
    assert float(spread) == pytest.approx(0.45, rel=0.06)


def test_false_particles_are_subtracted():
    rng = np.random.default_rng(7)
    response = response_of(20.0, 0.3, rng)
    only_false = unfold(rng.uniform(5, 10, 18), 60_000.0, response)
    assert only_false.weights.sum() < 5


def test_intervals_contain_the_truth_as_often_as_they_say():
    hits = []
    for seed in range(24):
        rng = np.random.default_rng([11, seed])
        study = study_of(21.0, 0.35, rng, images=5, each=60)[1]
        response = response_of(20.0, 0.35, rng, twins=12, each=60)
        found = correct(study, response, LEAST, {"d50": STATISTICS["d50"]}, 0.0, rng)["d50"]
        hits.append(found.corrected.low < 21.0 < found.corrected.high)
    assert np.mean(hits) >= 0.85


def test_uncertain_pixel_sizes_widen_intervals_and_appear_in_the_budget():
    rng = np.random.default_rng(13)
    response, study = response_of(20.0, 0.3, rng), study_of(20.0, 0.3, rng)[1]
    without, with_it = (
        correct(study, response, LEAST, STATISTICS, u, np.random.default_rng(0))
        for u in (0.0, 0.05)
    )
    assert with_it["d50"].budget.pixel_size == pytest.approx(0.05, rel=0.03)
    assert with_it["number_density"].budget.pixel_size == pytest.approx(0.10, rel=0.03)
    assert with_it["d50"].corrected.high > without["d50"].corrected.high
    assert with_it["d50"].corrected.value == without["d50"].corrected.value
    assert with_it["d50"].budget.combined > 0.05


def test_shares_stay_between_zero_and_one():
    rng = np.random.default_rng(17)
    response, study = response_of(20.0, 0.2, rng), study_of(20.0, 0.2, rng)[1]
    for limit in (1.0, 20.0, 1000.0):
        share = correct(study, response, LEAST, {"s": share_below(limit)}, 0.0, rng)["s"].corrected
        assert 0 <= share.low <= share.value <= share.high <= 1


def test_shares_of_none_and_all_are_shown_as_such():
    rng = np.random.default_rng(17)
    response, study = response_of(20.0, 0.2, rng), study_of(20.0, 0.2, rng)[1]
    none, everything = (
        correct(study, response, LEAST, {"s": share_below(limit)}, 0.0, rng)["s"]
        for limit in (1.0, 1000.0)
    )
    assert (none.raw, none.corrected.value, none.corrected.low) == (0.0, 0.0, 0.0)
    assert (everything.raw, everything.corrected.value, everything.corrected.high) == (1, 1, 1)
    assert none.corrected.high > 0
    assert everything.corrected.low < 1


def test_the_pixel_size_moves_shares_below_a_length():
    rng = np.random.default_rng(31)
    response, study = response_of(20.0, 0.3, rng), study_of(20.0, 0.3, rng)[1]
    budget = correct(study, response, LEAST, {"s": share_below(20.0)}, 0.05, rng)["s"].budget
    assert budget.pixel_size > 0.1  # 5 % of the size move about 7 % of the particles


def test_corrections_repeat_with_the_same_seed():
    rng = np.random.default_rng(19)
    response, study = response_of(20.0, 0.3, rng), study_of(20.0, 0.3, rng)[1]
    first, second = (
        correct(study, response, LEAST, STATISTICS, 0.0, np.random.default_rng(2)) for _ in "ab"
    )
    assert first == second


def test_a_single_micrograph_has_the_sampling_of_its_twins():
    rng = np.random.default_rng(23)
    response = response_of(20.0, 0.3, rng)
    study = study_of(20.0, 0.3, rng, images=1)[1]
    found = correct(study, response, LEAST, STATISTICS, 0.0, rng)["d50"]
    assert found.budget.sampling > 0.01


def test_detection_rises_with_size():
    classes = detection_by_size(response_of(15.0, 0.5, np.random.default_rng(29)), LEAST)
    found = [one.found for one in classes]
    assert found[0] < 0.5 < 0.9 < found[-1]
    assert all(one.found_low <= one.found <= one.found_high for one in classes)
    assert classes[-1].bias == pytest.approx(0.08, abs=0.01)
    assert sum(one.particles for one in classes) <= 24 * 150
