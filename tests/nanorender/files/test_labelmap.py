from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, line

from nanorender.errors import InputError
from nanorender.files.annotation import read_truth
from nanorender.files.labelmap import refuse_unlikely_labels
from nanorender.files.micrograph import Micrograph
from nanorender.files.segmentation import read_mask, read_segmented
from nanorender.files.tiff import write_image

PATH = Path("a.tif")


def discs(values, size=200):
    """Label map of discs on a grid, with the given values."""
    labels = np.zeros((size, size), np.int32)
    places = [(y, x) for y in range(15, size - 15, 30) for x in range(15, size - 15, 30)]
    for place, value in zip(places, values, strict=False):
        labels[disk(place, 9)] = value
    return labels


def gray_images():
    """Yield gray images: noise of 8 and 16 bits, blurred, dark field, magnified."""
    rng = np.random.default_rng(0)
    noise = rng.normal(120, 10, (150, 200))
    yield noise
    yield noise[:40, :40]
    yield 250 * noise
    smooth = ndimage.gaussian_filter(rng.standard_normal((300, 400)), 5)
    smooth = 255 * (smooth - smooth.min()) / np.ptp(smooth)
    yield smooth
    yield np.maximum(smooth + rng.normal(0, 3, smooth.shape) - 170, 0)
    yield np.kron(noise, np.ones((4, 4)))


@pytest.mark.parametrize("image", list(gray_images()))
def test_gray_images_are_refused(image):
    with pytest.raises(InputError, match=r"looks like a gray image .* segment"):
        refuse_unlikely_labels(PATH, image.astype(np.int32))


def test_blank_and_nearly_black_images_are_refused():
    blank, nearly_black = np.full((90, 120), 128, np.int32), np.zeros((90, 120), np.int32)
    nearly_black[40, 50] = 137
    for image in (blank, nearly_black):
        with pytest.raises(InputError, match=r"separate regions: 1, .* segment"):
            refuse_unlikely_labels(PATH, image)


@pytest.mark.parametrize("value", [1, 255, 65535])
def test_masks_are_refused_with_the_option_that_reads_them(value):
    with pytest.raises(InputError, match=f"36 separate regions have the value {value}; .*--binary"):
        refuse_unlikely_labels(PATH, discs([value] * 36))


def test_images_of_two_classes_are_refused():
    labels = np.tile(discs([1, 2] * 20), (3, 3))
    with pytest.raises(InputError, match="values other than 0: 2,"):
        refuse_unlikely_labels(PATH, labels)


def wires():
    """Label map of 300 thin wires, of which each cuts those before it into pieces."""
    rng = np.random.default_rng(1)
    labels = np.zeros((400, 400), np.int32)
    for number in range(1, 301):
        ends = rng.integers(0, 400, 4)
        labels[line(*ends)] = number
    return ndimage.grey_dilation(labels, 3)


@pytest.mark.parametrize(
    "labels",
    [
        discs(range(1, 37)),
        discs([3, 7, 250, 255, 900, 901]),
        discs([1, 2, 3, 3, 4, 4, 5, 6]),
        discs([5, 5]),
        discs([255]),
        discs([1, 1]),
        np.zeros((30, 30), np.int32),
        np.ones((30, 30), np.int32),
        np.kron(np.arange(1, 401).reshape(20, 20), np.ones((5, 5), np.int32)),
        wires(),
    ],
    ids=["all", "gaps", "in parts", "two parts", "255", "1", "empty", "full", "tiles", "wires"],
)
def test_label_maps_pass(labels):
    refuse_unlikely_labels(PATH, labels.astype(np.int32))


@pytest.fixture
def mask(tmp_path):
    """A file of a mask of six discs."""
    write_image(tmp_path / "mask.tif", discs([255] * 6).astype(np.uint8), 2.0)
    return tmp_path / "mask.tif"


def test_a_mask_is_read_on_request(mask, tmp_path):
    with pytest.raises(InputError, match="--binary"):
        read_segmented(mask)
    read = read_mask(mask)
    assert np.unique(read.labels).tolist() == list(range(7))
    assert read.micrograph.pixel_size_nm == pytest.approx(2.0)
    write_image(tmp_path / "labels.tif", discs([1, 2]).astype(np.uint8), 2.0)
    with pytest.raises(InputError, match="2 values other than 0"):
        read_mask(tmp_path / "labels.tif")


def test_regions_of_a_mask_that_touch_diagonally_are_two_particles(tmp_path):
    values = np.kron(np.eye(2), np.full((9, 9), 255)).astype(np.uint8)
    write_image(tmp_path / "mask.tif", values, 2.0)
    assert read_mask(tmp_path / "mask.tif").labels.max() == 2


def test_a_gray_image_is_no_annotation(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.normal(120, 10, (60, 80)).astype(np.uint8)
    write_image(tmp_path / "a.tif", image, 2.0)
    other = Micrograph(255 - image, 2.0, "", (0, 60, 0, 80), (60, 80), tmp_path / "b.tif")
    with pytest.raises(InputError, match="looks like a gray image"):
        read_truth(tmp_path / "a.tif", other)
