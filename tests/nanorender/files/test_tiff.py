import os

import numpy as np
import pytest
import tifffile
from micrographs import discs, noise
from PIL import Image

from nanorender.errors import InputError
from nanorender.files.atomic import PART_PREFIX
from nanorender.files.micrograph import read_micrograph
from nanorender.files.tiff import read_labels, write_image, write_labels


@pytest.mark.parametrize("pixel_size_nm", [7.344, 0.9765625, 94.34, None])
def test_images_and_labels_come_back_with_their_calibration(tmp_path, pixel_size_nm):
    write_image(tmp_path / "a.tif", noise(dtype=np.uint16), pixel_size_nm)
    write_labels(tmp_path / "b.tif", discs().astype(np.int32), pixel_size_nm)
    labels, size = read_labels(tmp_path / "b.tif")
    assert np.array_equal(labels, discs())
    assert labels.dtype == np.int32
    assert size == read_micrograph(tmp_path / "a.tif").pixel_size_nm
    assert size == pytest.approx(pixel_size_nm, rel=1e-8) if pixel_size_nm else size is None


def test_imagej_finds_unit_and_resolution_in_label_maps(tmp_path):
    write_labels(tmp_path / "a.tif", discs(), 4.0)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.imagej_metadata["unit"] == "nm"
        assert tif.pages.first.compression in (1, 8)  # what ImageJ can open
        assert tif.pages.first.resolution == pytest.approx((0.25, 0.25))
        assert np.array_equal(tif.asarray(), discs())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.tif")), discs())


def test_labels_below_zero_are_refused_and_nothing_is_written(tmp_path):
    labels = np.arange(-1, 300, dtype=np.int32).reshape(1, -1)
    with pytest.raises(InputError, match="got -1 to 299"):
        write_labels(tmp_path / "a.tif", labels, 1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_image(tmp_path / "a.tif", noise(), 1.0)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write_image(tmp_path / "a.tif", noise() + np.uint8(1), 1.0)
    assert np.array_equal(read_micrograph(tmp_path / "a.tif").image, noise())
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    assert not list(tmp_path.glob(f"{PART_PREFIX}*"))


@pytest.mark.parametrize("pixel_size_nm", [2.5, None])
def test_more_labels_than_16_bits_hold_are_written_with_32(pixel_size_nm, tmp_path):
    labels = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    write_labels(tmp_path / "many.tif", labels, pixel_size_nm)
    read, size_nm = read_labels(tmp_path / "many.tif")
    np.testing.assert_array_equal(read, labels)
    assert size_nm == pytest.approx(pixel_size_nm) if pixel_size_nm else size_nm is None
