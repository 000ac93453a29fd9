import numpy as np
import pytest

from nanorender.imaging.publication import (
    Box,
    PublicationSettings,
    hidden_by_marks,
    lay_out_marks,
    publish,
)

NONE = {"panel_label": 0, "scale_bar": 0, "caption": 0, "arrow": 0, "info_bar": 0}
GRAY = np.full((300, 400), 128, np.uint8)


def published(settings, image=GRAY, seed=0):
    rng = np.random.default_rng(seed)
    marks = lay_out_marks(settings, image.shape, rng)
    return publish(image, marks, settings, rng), hidden_by_marks(marks, image.shape), marks


def test_image_without_marks_and_losses_is_unchanged():
    image, hidden, marks = published(PublicationSettings(**NONE))
    assert marks == []
    assert not hidden.any()
    assert (image == GRAY).all()


@pytest.mark.parametrize("mark", list(NONE))
def test_every_mark_is_drawn_within_the_image(mark):
    for seed in range(10):
        image, _, marks = published(PublicationSettings(**(NONE | {mark: 1})), seed=seed)
        assert marks
        assert image.shape == GRAY.shape
        assert (image != GRAY).any()


def test_boxes_hide_particles_and_letters_do_not():
    image, hidden, marks = published(PublicationSettings(**(NONE | {"info_bar": 1})))
    assert hidden[-1].all()
    assert not hidden[0].any()
    assert isinstance(marks[0], Box)
    assert (image[~hidden] == 128).all()
    for seed in range(20):
        _, hidden, marks = published(PublicationSettings(**(NONE | {"panel_label": 1})), seed=seed)
        assert hidden.any() == any(isinstance(mark, Box) for mark in marks)


def test_compression_and_reduction_lose_detail():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128)).astype(np.uint8)
    for lossy in ({"jpeg_quality": 20.0}, {"reduction": 2.0}):
        image, _, _ = published(PublicationSettings.model_validate(NONE | lossy), noise)
        assert image.shape == noise.shape
        assert 10 < np.abs(image.astype(float) - noise).mean() < 100


def test_images_of_16_bits_become_8_bits():
    image, _, _ = published(PublicationSettings(**NONE), np.full((64, 64), 40000, np.uint16))
    assert image.dtype == np.uint8
    assert (image == 40000 >> 8).all()
