import numpy as np
import pytest
import tifffile
from PIL import Image

from nanorender.errors import InputError
from nanorender.files.annotation import find_truth, read_truth
from nanorender.files.micrograph import read_micrograph


def noise(height=60, width=80):
    return np.random.default_rng(7).integers(50, 150, (height, width)).astype(np.uint8)


def squares(height=60, width=80):
    """Two squares that touch at a corner only, as labels."""
    labels = np.zeros((height, width), np.uint16)
    labels[10:20, 10:20] = 1
    labels[20:30, 20:30] = 2
    return labels


def test_regions_of_a_mask_that_touch_at_corners_are_two_particles(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise())
    Image.fromarray(((squares() > 0) * 255).astype(np.uint8)).save(tmp_path / "a_m.png")
    micrograph = read_micrograph(tmp_path / "a.tif", crop=(5, 40, 5, 70))
    labels = find_truth(micrograph, "_m")
    assert np.array_equal(labels, squares()[5:40, 5:70])


def test_label_map_is_unchanged(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise())
    labels = squares() * 300
    tifffile.imwrite(tmp_path / "a_m.tif", labels)
    micrograph = read_micrograph(tmp_path / "a.tif")
    assert np.array_equal(read_truth(tmp_path / "a_m.tif", micrograph), labels)


def test_a_truth_of_another_size_or_none_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise())
    micrograph = read_micrograph(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"no annotation a_m\.tif"):
        find_truth(micrograph, "_m")
    tifffile.imwrite(tmp_path / "a_m.tif", squares(50, 80))
    with pytest.raises(InputError, match="50 rows and 80 columns"):
        read_truth(tmp_path / "a_m.tif", micrograph)


def test_a_micrograph_does_not_annotate_itself(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise())
    micrograph = read_micrograph(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"holds the gray values of a\.tif, not an annotation"):
        read_truth(tmp_path / "a.tif", micrograph)
