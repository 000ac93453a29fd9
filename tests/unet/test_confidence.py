import numpy as np
import pytest
from pydantic import ValidationError

from unet.confidence import (
    FEATURES,
    Confidence,
    fit_confidence,
    particle_features,
    real_particles,
)


def disc(shape, center, radius, number=1):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (number * (np.hypot(y - center[0], x - center[1]) < radius)).astype(np.int32)


def feature(features, name):
    return features[:, FEATURES.index(name)]


def sure_maps(labels):
    """Maps of a network that is sure of the particles of a label map."""
    from unet.targets import TARGETS

    return {name: np.asarray(target(labels, 2.0), np.float32) for name, target in TARGETS.items()}


def test_a_particle_predicted_as_it_is_has_no_error_of_the_distance():
    labels = disc((60, 60), (30, 30), 14)
    found = particle_features(labels, sure_maps(labels))
    assert feature(found, "distance_error")[0] == pytest.approx(0, abs=1e-6)
    assert feature(found, "distance_correlation")[0] == pytest.approx(1, abs=1e-6)
    assert feature(found, "contrast")[0] == 1
    assert feature(found, "roundness")[0] == pytest.approx(1, abs=0.05)
    assert np.exp(feature(found, "diameter")[0]) == pytest.approx(28, rel=0.03)


def test_part_of_a_particle_has_an_error_of_the_distance():
    whole = disc((60, 60), (30, 30), 14)
    half = np.where(np.arange(60) < 30, whole, 0).astype(np.int32)
    found = particle_features(half, sure_maps(whole))
    assert feature(found, "distance_error")[0] > 0.2
    assert feature(found, "contrast")[0] < 0.8


def test_particles_in_contact_and_at_the_frame_are_marked():
    labels = np.zeros((20, 30), np.int32)
    labels[5:15, 0:10], labels[5:15, 10:20] = 1, 2
    found = particle_features(labels, {"foreground": (labels > 0).astype(np.float32)})
    assert feature(found, "at_frame").tolist() == [1, 0]
    assert 0.2 < feature(found, "contact")[1] < 0.4
    assert feature(found, "interior").tolist() == [0, 0]


def test_no_particle_has_no_features():
    assert particle_features(np.zeros((8, 8), np.int32), {}).shape == (0, len(FEATURES))


def test_a_particle_is_real_from_half_of_the_union():
    truth = np.zeros((1, 30), np.int32)
    truth[0, :10], truth[0, 20:] = 3, 8
    labels = np.zeros_like(truth)
    labels[0, :5], labels[0, 24:] = 1, 2  # 5 of 10 and 6 of 10
    assert real_particles(labels, truth).tolist() == [True, True]
    labels[0, 4] = 0
    assert real_particles(labels, truth).tolist() == [False, True]


def test_the_fit_recovers_the_probabilities_that_particles_were_drawn_with():
    rng = np.random.default_rng(0)
    features = rng.normal(3.0, 2.0, (50_000, len(FEATURES)))
    odds = 0.5 * (features[:, 0] - 3) - 0.7 * (features[:, 4] - 3)
    true = 1 / (1 + np.exp(-odds))
    fitted = fit_confidence(features, rng.random(len(true)) < true, 0.4)
    assert fitted.threshold == 0.4
    assert np.abs(fitted.probability(features) - true).mean() < 0.02


def test_a_confidence_of_other_features_is_refused():
    with pytest.raises(ValidationError, match="features"):
        Confidence(mean=(0.0,), sd=(1.0,), weights=(1.0, 1.0), intercept=0.0, threshold=0.5)
