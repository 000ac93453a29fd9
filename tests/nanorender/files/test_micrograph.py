import numpy as np
import pytest
import tifffile
from micrographs import GENUINE, needs_genuine_files, noise
from skimage.measure import label

from nanorender.errors import InputError
from nanorender.files.annotation import find_truth
from nanorender.files.micrograph import read_micrograph
from nanorender.files.tiff import write_image


@pytest.mark.parametrize("name", ["with space", "\u00fcn\u00efc\u00f6de \u7c92\u5b50", "n" * 200])
def test_any_file_name_is_read_and_written(tmp_path, name):
    write_image(tmp_path / f"{name}.tif", noise(), 2.5)
    assert read_micrograph(tmp_path / f"{name}.tif").name == name


def test_given_pixel_size_overrides_the_file(tmp_path):
    write_image(tmp_path / "a.tif", noise(), 2.5)
    assert read_micrograph(tmp_path / "a.tif").pixel_size_nm == 2.5
    read = read_micrograph(tmp_path / "a.tif", pixel_size_nm=4.0)
    assert (read.pixel_size_nm, read.pixel_size_source) == (4.0, "given by the user")
    for impossible in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="pixel_size_nm must be"):
            read_micrograph(tmp_path / "a.tif", pixel_size_nm=impossible)


def with_bar(ground, writing, dtype=np.uint8, trailing=0):
    """A noisy image with an info bar of 40 of 300 rows, with writing and a last row of image."""
    image = noise(300, 400, dtype)
    bar = np.full((40, 400), ground, dtype)
    bar[12:28, 20:380:3] = writing
    image[260 - trailing : 300 - trailing] = bar
    return image


@pytest.mark.parametrize(("ground", "writing"), [(0, 255), (255, 0)])
@pytest.mark.parametrize("trailing", [0, 2])
def test_an_info_bar_is_cut(tmp_path, ground, writing, trailing):
    tifffile.imwrite(tmp_path / "a.tif", with_bar(ground, writing, trailing=trailing))
    read = read_micrograph(tmp_path / "a.tif")
    assert read.crop == (0, 260 - trailing, 0, 400)
    assert read.image.shape == (260 - trailing, 400)
    assert read.file_shape == (300, 400)


def test_a_crop_overrides_the_search_for_a_bar(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", with_bar(0, 255))
    read = read_micrograph(tmp_path / "a.tif", crop=(10, 300, 5, 100))
    assert np.array_equal(read.image, with_bar(0, 255)[10:300, 5:100])


@pytest.mark.parametrize("crop", [(0, 301, 0, 400), (5, 5, 0, 400), (-1, 9, 0, 9), (0, 9, 9, 3)])
def test_an_impossible_crop_is_refused(tmp_path, crop):
    tifffile.imwrite(tmp_path / "a.tif", with_bar(0, 255))
    with pytest.raises(InputError, match="does not fit"):
        read_micrograph(tmp_path / "a.tif", crop=crop)


def test_images_without_a_bar_stay_whole(tmp_path):
    empty_below = noise(300, 400)
    empty_below[250:] = 0
    floating = noise(300, 400)
    floating[250:280, 40:350] = 0
    floating[258:270, 60:300:3] = 255
    black_ground = noise(300, 400)
    black_ground[(np.indices((300, 400)).sum(axis=0) % 60) > 20] = 0
    for image in (noise(300, 400), empty_below, floating, black_ground):
        tifffile.imwrite(tmp_path / "a.tif", image)
        assert read_micrograph(tmp_path / "a.tif").image.shape == (300, 400)


@needs_genuine_files
def test_a_genuine_mask_has_as_many_particles_as_connected_regions():
    micrograph = read_micrograph(GENUINE / "tio2_sem" / "1908248.tif")
    labels = find_truth(micrograph, "_m.tif")
    assert labels.shape == micrograph.image.shape
    mask = tifffile.imread(GENUINE / "tio2_sem" / "1908248_m.tif")[:712]
    assert labels.max() == label(mask > 0, connectivity=1).max()


@pytest.mark.parametrize(
    ("given", "noted"), [(7.4, False), (7.344, False), (7.5, True), (14.0, True)]
)
def test_a_pixel_size_that_contradicts_the_header_is_noted(tmp_path, given, noted):
    write_image(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), 7.344)
    read = read_micrograph(tmp_path / "a.tif", given)
    note = f"its header says 7.344 nm; {given:g} nm is used, as asked"
    assert read.notes == ((note,) if noted else ())
    assert read.pixel_size_nm == given
