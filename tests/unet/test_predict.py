from dataclasses import replace

import numpy as np
import pytest

from unet.data import equalize
from unet.model import initial_weights
from unet.predict import (
    make_model,
    predict,
    predict_equalized,
    predict_window,
    prepare,
    whole_window,
)


@pytest.fixture(params=[1, 2], ids=["pixels", "blocks"])
def model(request, card, rng):
    """A network of three levels with random weights."""
    changes = {"channels": (2, 3, 4), "block_px": request.param}
    training = card.training.model_copy(update=changes)
    weights = initial_weights(training.architecture, rng)
    return make_model(card.model_copy(update={"training": training}), weights)


def predict_averaged(model, image, pixel_size_nm):
    prepared = prepare(model, image, pixel_size_nm)
    return predict_window(model, prepared, whole_window(image.shape), averaged=True)


def test_maps_have_the_names_and_size_requested(model, discs):
    image = discs(0)[0][:50, :61]
    maps = predict(model, image, 6.0)
    assert tuple(maps) == model.card.training.targets
    for probability in maps.values():
        assert probability.shape == image.shape
        assert 0 <= probability.min() < probability.max() <= 1


def test_tiles_have_no_seams(model, discs):
    image = equalize(discs(1, size_px=251)[0])
    whole = predict_equalized(model, image, tile_px=1024)
    tiled = predict_equalized(model, image, tile_px=160)
    # Where the image ends, the tiles are padded by different amounts.
    inside = 251 - model.card.training.architecture.reach_px
    np.testing.assert_allclose(tiled[:inside, :inside], whole[:inside, :inside], atol=1e-6)
    assert tiled.shape == whole.shape == (251, 251, 4)


@pytest.mark.parametrize("shape", [(1, 1), (3, 300), (97, 96)])
def test_images_of_any_shape_are_predicted(model, shape, rng):
    image = rng.integers(0, 255, shape).astype(np.uint8)
    maps = predict_equalized(model, image, tile_px=96)
    assert maps.shape == (*shape, 4)
    assert np.isfinite(maps).all()


def test_an_image_of_another_scale_gets_maps_of_its_own_size(model, discs):
    image, _ = discs(0)
    with pytest.warns(UserWarning, match="resampled to 6 nm"):
        maps = predict(model, image, 11.0)
    assert maps["foreground"].shape == image.shape


def test_averaging_over_flips_gives_the_same_for_a_flipped_image(model, discs):
    unzoomed = model.card.training.augmentation.model_copy(update={"zoom": 1.0})
    training = model.card.training.model_copy(update={"augmentation": unzoomed})
    model = replace(model, card=model.card.model_copy(update={"training": training}))
    image = np.ascontiguousarray(discs(0)[0][:64, :64])
    upright = predict_averaged(model, image, 6.0)
    flipped = predict_averaged(model, np.ascontiguousarray(image[::-1]), 6.0)
    for name, probability in upright.items():
        np.testing.assert_allclose(flipped[name][::-1], probability, atol=1e-5)


def test_averaging_takes_the_largest_zoom_seen_in_training(model, monkeypatch):
    seen = []

    def note_shape(model, image):
        seen.append(image.shape)
        return np.zeros((*image.shape, 4), np.float32)

    monkeypatch.setattr("unet.predict.predict_equalized", note_shape)
    assert model.card.training.augmentation.zoom == 1.25
    predict_averaged(model, np.zeros((160, 320), np.uint8), 6.0)
    assert seen == 4 * [(160, 320)] + 4 * [(200, 400)]


def test_averaging_preserves_positions(model, monkeypatch):
    y, x = np.mgrid[:90, :131]
    image = (200 * np.exp(-((y - 61.0) ** 2 + (x - 40.0) ** 2) / 200)).astype(np.uint8)

    def gray_level(model, image):
        return np.repeat(image[..., None] / np.float32(255), 4, axis=-1)

    monkeypatch.setattr("unet.predict.predict_equalized", gray_level)
    maps = predict_averaged(model, image, 6.0)
    np.testing.assert_allclose(maps["foreground"], equalize(image) / 255, atol=0.02)
