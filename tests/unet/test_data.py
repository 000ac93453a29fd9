from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanorender.errors import InputError
from nanorender.files.dataset import create_dataset, write_sample
from nanorender.files.labeled import LabeledImage
from nanorender.files.tiff import write_image
from unet.data import (
    equalize,
    load_dataset,
    make_samples,
    to_trained_scale,
)
from unet.presets import CPU


def disc(radius_px, size_px=64):
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    return (np.hypot(y - size_px / 2, x - size_px / 2) < radius_px).astype(np.int32)


@given(gain=st.floats(0.3, 1.0), offset=st.floats(0, 60))
def test_equalization_removes_brightness_and_contrast(gain, offset):
    gray = np.random.default_rng(0).integers(0, 180, (96, 96)).astype(np.uint16) * 100
    changed = (gain * gray + 100 * offset).astype(np.uint16)
    difference = equalize(gray).astype(int) - equalize(changed)
    assert np.abs(difference).max() <= 3


def test_a_16_bit_image_is_prepared_as_its_8_bit_version():
    gray = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    np.testing.assert_array_equal(equalize(gray), equalize(gray.astype(np.uint16) * 256))


def test_a_blank_image_stays_blank():
    assert np.ptp(equalize(np.full((40, 50), 77, np.uint8))) == 0


def test_images_of_several_sizes_are_loaded_beside_each_other(discs, tmp_path):
    small, large = discs(0, 48), discs(1, 64)
    create_dataset(tmp_path, "discs", "", seed=0, count=2)
    write_sample(tmp_path, 0, *small, {}, 5.0)
    write_sample(tmp_path, 1, *large, {}, 8.0)
    loaded = load_dataset(tmp_path, CPU)
    np.testing.assert_array_equal(loaded.sizes, [[48, 48], [64, 64]])
    np.testing.assert_array_equal(loaded.pixels[0, :48, :48, 0], equalize(small[0]))
    np.testing.assert_array_equal(loaded.pixels[1, ..., 1] > 0, large[1] > 0)
    zoom = CPU.augmentation.zoom
    assert loaded.pixel_sizes.lowest_nm == 5.0 / zoom
    assert loaded.pixel_sizes.median_nm == 6.5
    assert loaded.pixel_sizes.highest_nm == 8.0 * zoom


def test_images_without_a_common_scale_are_learned_at_the_zooms_of_the_search(tmp_path):
    """The median particle must keep 10 px: discs of 80 px at all zooms, those of 24 px at two."""
    create_dataset(tmp_path, "discs", "", seed=0, count=4)
    for index, radius_px in enumerate((40, 40, 40, 12)):
        labels = disc(radius_px, 128)
        write_sample(tmp_path, index, (200 * labels).astype(np.uint8), labels, {}, 1.0)
    (tmp_path / "recipes").mkdir()
    loaded = load_dataset(tmp_path, CPU)
    np.testing.assert_array_equal(loaded.sizes[:, 0], [128, 64, 32, 64])
    assert loaded.pixel_sizes is None
    zoom = CPU.augmentation.zoom
    assert loaded.diameters.lowest == pytest.approx(12 / zoom, rel=0.05)
    assert loaded.diameters.highest == pytest.approx(80 * zoom, rel=0.05)
    for row, diameter_px in enumerate((80, 40, 20, 12)):
        area = np.count_nonzero(loaded.pixels[row, ..., 1])
        assert np.sqrt(4 / np.pi * area) == pytest.approx(diameter_px, rel=0.05)


def test_particles_that_vanish_in_a_reduced_image_are_not_learned(tmp_path):
    labels = disc(40, 128)
    labels[2:8, 2:8] = 2  # 9 px of the image of half the size
    create_dataset(tmp_path, "discs", "", seed=0, count=2)
    for index in range(2):
        write_sample(tmp_path, index, (200 * (labels > 0)).astype(np.uint8), labels, {}, 1.0)
    (tmp_path / "recipes").mkdir()
    whole, reduced = load_dataset(tmp_path, CPU).pixels[..., 1]
    assert whole[4, 4] == 255
    assert not reduced[:8, :8].any()


def test_smallest_trained_particles_exclude_slivers():
    labels = np.zeros((40, 400), np.int32)
    for index in range(99):
        labels[2 + 3 * (index % 11) :][:2, 4 * (index // 11) :][:, :2] = index + 1  # 4 px each
    labels[38, 399] = 100  # the hundredth is one pixel
    image = np.zeros(labels.shape, np.uint8)
    samples = make_samples([LabeledImage(image, labels, 5.0, Path("squares"))], 1, CPU)
    four_px = np.sqrt(4 * 4 / np.pi) * 5.0 / CPU.augmentation.zoom
    assert samples.diameters.lowest == pytest.approx(four_px, rel=0.01)
    empty = make_samples([LabeledImage(image, 0 * labels, 5.0, Path())], 1, CPU)
    assert empty.diameters is None


def test_the_fit_of_the_recipe_is_known_to_the_training(tmp_path):
    for name, text, expected in (("fitted", "relative_loss = 2.5", 2.5), ("preset", "", None)):
        folder = tmp_path / name
        create_dataset(folder, "discs", text, seed=0, count=1)
        labels = disc(20, 64)
        write_sample(folder, 0, (200 * labels).astype(np.uint8), labels, {}, 1.0)
        assert load_dataset(folder, CPU).relative_loss == expected


def test_a_dataset_without_samples_is_refused(tmp_path):
    create_dataset(tmp_path, "discs", "", seed=0, count=2)
    with pytest.raises(InputError, match="no complete sample"):
        load_dataset(tmp_path, CPU)


def test_an_image_within_the_trained_scale_is_left_alone(pixel_sizes):
    image = np.zeros((20, 30), np.uint8)
    assert to_trained_scale(image, 6.9, pixel_sizes) is image
    assert to_trained_scale(image, None, pixel_sizes) is image


def test_an_image_of_another_scale_is_resampled_with_a_warning(pixel_sizes):
    with pytest.warns(UserWarning, match="12 nm is outside 5 to 7 nm"):
        image = to_trained_scale(np.zeros((20, 30), np.uint8), 12.0, pixel_sizes)
    assert image.shape == (40, 60)


def test_images_of_a_scale_too_far_from_the_training_are_refused_before_they_are_resampled(
    pixel_sizes,
):
    with pytest.raises(InputError, match=r"100 x 100 pixels of 1e\+05 nm would become 1.67e\+06"):
        to_trained_scale(np.zeros((100, 100), np.uint8), 1e5, pixel_sizes)


def test_images_that_do_not_fit_into_memory_together_are_refused(tmp_path):
    wide = LabeledImage(
        np.zeros((1, 200_000), np.uint8), np.zeros((1, 200_000), np.int32), 5.0, Path("a")
    )
    high = LabeledImage(wide.image.T, wide.labels.T, 5.0, Path("b"))
    with pytest.raises(InputError, match=r"2 images of up to 200000 x 200000 px need 3\d\d GiB"):
        make_samples([wide, high], 2, CPU)


def test_float_images_are_stretched_and_nan_refused(tmp_path):
    folder = tmp_path / "dataset"
    create_dataset(folder, "discs", "", 0, 1)
    write_sample(folder, 0, np.zeros((64, 64), np.uint8), disc(20), {}, 5.0)
    gray = np.linspace(-3, 3, 64 * 64, dtype=np.float32).reshape(64, 64)
    write_image(folder / "images" / "000000.tif", gray, 5.0)
    assert load_dataset(folder, CPU).pixels[..., 0].max() > 200
    write_image(folder / "images" / "000000.tif", gray * np.nan, 5.0)
    with pytest.raises(InputError, match="not numbers"):
        load_dataset(folder, CPU)
