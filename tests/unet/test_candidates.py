import cv2
import numpy as np
import pytest

from nanorender.separation.separate import Separation
from unet import candidates
from unet.candidates import FoundParticles, choose, search
from unet.data import SEARCH_ZOOMS
from unet.model import initial_weights
from unet.predict import make_model, prepare_search, whole_window


@pytest.fixture
def model(card, rng):
    """A network for particles of any size."""
    weights = initial_weights(card.training.architecture, rng)
    return make_model(card.model_copy(update={"pixel_sizes": None}), weights)


def strip(*numbers):
    return np.array([numbers], np.int32)


def test_a_model_with_a_scale_searches_at_this_scale_alone(card, rng):
    model = make_model(card, initial_weights(card.training.architecture, rng))
    image = np.zeros((64, 80), np.uint8)
    assert [each.zoom for each in prepare_search(model, image, None)] == [1.0]


def test_a_model_without_a_scale_searches_reduced_images_whatever_the_pixel_size(model):
    image = np.random.default_rng(0).integers(0, 255, (64, 80), np.uint8)
    prepared = prepare_search(model, image, 123.0)
    assert [each.zoom for each in prepared] == list(SEARCH_ZOOMS)
    assert [each.equalized.shape for each in prepared] == [(64, 80), (32, 40), (16, 20)]
    assert {each.shape for each in prepared} == {(64, 80)}


def test_the_best_of_overlapping_candidates_is_chosen_without_the_overlap():
    fine = FoundParticles(strip(1, 1, 2, 2, 3, 3, 3, 0), np.array([0.9, 0.2, 0.6]))
    coarse = FoundParticles(strip(0, 0, 1, 1, 1, 1, 1, 1), np.array([0.5]))
    chosen = choose([fine, coarse], 0.0)
    # Of the coarse particle, three of six pixels are free: too few, so the second is chosen
    assert chosen.labels.tolist() == [[1, 1, 2, 2, 3, 3, 3, 0]]
    assert chosen.confidence.tolist() == [0.9, 0.2, 0.6]


def test_a_candidate_loses_the_pixels_of_a_better_one():
    fine = FoundParticles(strip(1, 1, 0, 0, 0, 0), np.array([0.9]))
    coarse = FoundParticles(strip(0, 1, 1, 1, 1, 1), np.array([0.8]))
    chosen = choose([fine, coarse], 0.0)
    assert chosen.labels.tolist() == [[1, 1, 2, 2, 2, 2]]
    assert chosen.confidence.tolist() == [0.9, 0.8]


def test_candidates_of_low_confidence_are_discarded_and_the_rest_is_renumbered():
    found = FoundParticles(strip(1, 1, 0, 2, 2, 0, 3), np.array([0.3, 0.7, 0.5]))
    chosen = choose([found], 0.5)
    assert chosen.labels.tolist() == [[0, 0, 0, 1, 1, 0, 2]]
    assert chosen.confidence.tolist() == [0.7, 0.5]


def test_nothing_to_choose_from_gives_no_particle():
    nothing = FoundParticles(np.zeros((4, 5), np.int32), np.zeros(0))
    chosen = choose([nothing, nothing], 0.5)
    assert chosen.labels.shape == (4, 5)
    assert not chosen.labels.any()
    assert len(chosen.confidence) == 0


def test_sizes_of_the_separation_are_those_of_the_reduced_image(model, monkeypatch):
    speck = np.zeros((64, 64), np.float32)
    speck[8:14, 8:14] = 0.9  # 36 px here, but 9 of the image of half the size

    def seen(model, prepared, window, averaged):
        size = (window[1].stop, window[0].stop)
        return {"foreground": cv2.resize(speck, size, interpolation=cv2.INTER_AREA)}

    monkeypatch.setattr(candidates, "predict_window", seen)
    prepared = prepare_search(model, np.zeros((64, 64), np.uint8), None)
    window = whole_window((64, 64))
    found = search(model, prepared, window, Separation(area_opening_px=10), False)
    assert [each.labels.max() for each in found.candidates] == [1, 0, 0]


def test_without_a_fit_the_confidence_is_the_mean_foreground(model, monkeypatch):
    square = np.zeros((40, 40), np.float32)
    square[10:30, 10:30] = 0.8
    monkeypatch.setattr(candidates, "predict_window", lambda *_: {"foreground": square})
    prepared = prepare_search(model, np.zeros((40, 40), np.uint8), None)[:1]
    found = search(model, prepared, whole_window((40, 40)), Separation(), False)
    np.testing.assert_array_equal(found.foreground, square)
    found = found.candidates[0]
    assert found.graded(None).confidence == pytest.approx([0.8], abs=1e-6)


def test_a_rod_with_a_neck_is_found_in_parts_and_whole(model, monkeypatch):
    """Necks that are deeper than 2 px, but not than 5 px, divide a particle or do not."""
    interior = np.zeros((40, 80), np.float32)
    interior[10:30, 5:35] = interior[10:30, 45:75] = interior[14:26, 35:45] = 0.9
    maps = {"foreground": interior, "interior": interior}
    monkeypatch.setattr(candidates, "predict_window", lambda *_: maps)
    prepared = prepare_search(model, np.zeros((40, 80), np.uint8), None)[:1]
    found = search(model, prepared, whole_window((40, 80)), Separation(), False)
    assert [each.labels.max() for each in found.candidates] == [2, 1]


def test_a_particle_of_a_reduced_image_has_its_outline_and_place(model, monkeypatch):
    y, x = np.mgrid[:160, :200]
    disc = (np.hypot(y - 80, x - 100) < 45).astype(np.float32)

    def seen(model, prepared, window, averaged):
        rows, columns = window
        zoomed = cv2.resize(disc, prepared.shape[::-1], interpolation=cv2.INTER_AREA)
        return {"foreground": zoomed[rows, columns]}

    monkeypatch.setattr(candidates, "predict_window", seen)
    prepared = prepare_search(model, np.zeros((160, 200), np.uint8), None)
    window = (slice(10, 150), slice(30, 200))
    for level in (1, 2):
        found = search(model, prepared[level : level + 1], window, Separation(), False)
        labels = found.candidates[0].labels
        assert labels.shape == (140, 170)
        truth = disc[window] > 0
        assert np.count_nonzero((labels > 0) & truth) / np.count_nonzero(labels + truth) > 0.96
