import tracemalloc

import numpy as np
import pytest

from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation
from unet import candidates, windows
from unet.data import PixelSizes
from unet.model import initial_weights
from unet.predict import make_model, prepare
from unet.windows import segment_prepared


@pytest.fixture
def small_windows(monkeypatch):
    """Divide images of more than 100 px."""
    for name, value in (("WHOLE_PX", 100), ("CORE_PX", 64), ("MARGIN_PX", 32)):
        monkeypatch.setattr(windows, name, value)


@pytest.fixture
def model(card, rng):
    """A network of one target, the gray level itself: bright pixels are particles."""
    training = card.training.model_copy(update={"targets": ("foreground",), "channels": (3, 4)})
    weights = initial_weights(training.architecture, rng)
    return make_model(card.model_copy(update={"training": training}), weights)


@pytest.fixture
def seen(monkeypatch):
    """Let the network give what is bright, and note its windows."""
    asked = []

    def predict_window(model, prepared, window, averaged):
        asked.append(window)
        rows, columns = (
            np.minimum((np.arange(part.start, part.stop) * scale).astype(int), length - 1)
            for part, scale, length in zip(
                window, prepared.scale, prepared.equalized.shape, strict=True
            )
        )
        bright = prepared.equalized[np.ix_(rows, columns)] > 128
        return {"foreground": bright.astype(np.float32)}

    monkeypatch.setattr(candidates, "predict_window", predict_window)
    return asked


def pile(shape, seed=0):
    """An image of bright discs of 4 to 12 px radius, many of which touch."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape, np.uint8)
    for _ in range(shape[0] * shape[1] // 600):
        center_y, center_x, radius = rng.uniform((0, 0, 4), (*shape, 12))
        image[np.hypot(y - center_y, x - center_x) < radius] = 200
    return image


@pytest.mark.parametrize("shape", [(230, 300), (64, 201), (128, 129)])
def test_windows_give_the_particles_of_the_whole_image(
    shape, model, seen, monkeypatch, small_windows
):
    prepared = prepare(model, pile(shape), 6.0)
    parts = segment_prepared(model, [prepared], Separation(), False, True)
    assert len(seen) > 1
    monkeypatch.setattr(windows, "WHOLE_PX", 10_000)
    whole = segment_prepared(model, [prepared], Separation(), False, True)
    np.testing.assert_array_equal(parts.foreground, whole.foreground)
    scores = score_labels(parts.labels, whole.labels, 0).objects_at(0.9)
    # Clumps larger than a margin may be flooded in another order where heights are equal.
    assert scores.f1 > 0.99
    assert np.mean((parts.labels > 0) == (whole.labels > 0)) > 0.999


def test_particles_smaller_than_a_margin_are_the_same_pixel_for_pixel(
    model, seen, monkeypatch, small_windows
):
    image = np.zeros((200, 330), np.uint8)
    for top in range(5, 180, 23):
        for left in range(3, 310, 19):
            image[top : top + 12 + left % 5, left : left + 9 + top % 7] = 200
    prepared = prepare(model, image, 6.0)
    parts = segment_prepared(model, [prepared], Separation(), False, False)
    monkeypatch.setattr(windows, "WHOLE_PX", 10_000)
    whole = segment_prepared(model, [prepared], Separation(), False, False)
    np.testing.assert_array_equal(parts.labels, whole.labels)
    assert parts.foreground is None


def test_an_image_resampled_for_the_network_keeps_its_particles_in_their_places(
    model, seen, small_windows, card
):
    image = pile((300, 300), seed=3)
    with pytest.warns(UserWarning, match="resampled"):
        prepared = prepare(model, image, 12.0)
    assert prepared.equalized.shape == (600, 600)
    labels = segment_prepared(model, [prepared], Separation(area_opening_px=1), False, False).labels
    assert np.mean((labels > 0) == (image > 0)) > 0.98


def test_a_network_predicts_parts_as_it_predicts_the_whole(card, rng, discs, small_windows):
    training = card.training.model_copy(update={"channels": (3, 4)})
    sizes = PixelSizes(lowest_nm=5, median_nm=6, highest_nm=7)
    weights = initial_weights(training.architecture, rng)
    model = make_model(
        card.model_copy(update={"training": training, "pixel_sizes": sizes}), weights
    )
    prepared = prepare(model, discs(4, 160)[0], 6.0)
    parts = segment_prepared(model, [prepared], Separation(), True, True).foreground
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WHOLE_PX", 10_000)
        whole = segment_prepared(model, [prepared], Separation(), True, True).foreground
    # Only where the image ends is it padded by another amount.
    inside = np.s_[16:-16, 16:-16]
    assert np.abs(parts[inside].astype(int) - whole[inside]).max() <= 1


def test_memory_grows_by_the_label_map_and_the_foreground_alone(
    model, seen, monkeypatch, small_windows
):
    monkeypatch.setattr(windows, "_BAND_ROWS", 8)
    peaks = {}
    for edge in (384, 768):  # cores of 64 px see the same three by three times
        image = np.tile(pile((192, 192)), (edge // 192, edge // 192))
        prepared = prepare(model, image, 6.0)
        tracemalloc.start()
        segment_prepared(model, [prepared], Separation(), False, True)
        peaks[edge] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Four bytes of a label and one of the foreground; a few for each particle.
    assert (peaks[768] - peaks[384]) / (768**2 - 384**2) < 5.5
