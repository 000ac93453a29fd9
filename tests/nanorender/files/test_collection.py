import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.files.collection import Reading, read_collection
from nanorender.files.tiff import write_image, write_labels


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 60), np.int32)
    labels[5:15, 5:15], labels[20:30, 30:50] = 1, 2
    for number, size_nm in enumerate((2.0, 3.0, 7.0)):
        write_image(tmp_path / f"{number}.tif", rng.integers(0, 255, (40, 60), np.uint8), size_nm)
        write_labels(tmp_path / f"{number}_m.tif", labels, size_nm)
    return tmp_path


def test_annotations_are_excluded_with_a_note(folder):
    collection = read_collection(folder, Reading())
    assert [image.name for image in collection] == ["0", "1", "2"]
    assert len(collection.left_out) == 3
    assert any("--truth" in note for note in collection.notes)


def test_requested_annotations_are_read_without_a_note(folder):
    collection = read_collection(folder, Reading(truth="_m"))
    assert collection.notes == ()
    assert all(collection.truth(image).max() == 2 for image in collection)


def test_annotations_in_a_separate_folder(folder, tmp_path):
    (tmp_path / "truth").mkdir()
    for number in range(3):
        (folder / f"{number}_m.tif").rename(tmp_path / "truth" / f"{number}.tif")
    collection = read_collection(folder, Reading(truth=str(tmp_path / "truth")))
    assert all(collection.truth(image).max() == 2 for image in collection)


def test_a_missing_annotation_is_noticed_at_once(folder):
    (folder / "1_m.tif").unlink()
    with pytest.raises(InputError, match="1"):
        read_collection(folder, Reading(truth="_m"))


def test_the_scale_of_a_collection_is_the_median(folder):
    assert read_collection(folder, Reading()).pixel_size_nm == pytest.approx(3.0, rel=1e-4)
    assert read_collection(folder, Reading(pixel_size_nm=5.0)).pixel_size_nm == 5.0


def test_sizes_stay_in_pixels_on_request(folder):
    collection = read_collection(folder, Reading(in_pixels=True))
    assert collection.pixel_size_nm is None
    assert [image.pixel_size_nm for image in collection] == [None] * 3


def test_unknown_pixel_size_is_refused_with_the_remedy(folder):
    image = np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)
    write_image(folder / "3.tif", image, None)
    with pytest.raises(InputError, match="--pixel-size-nm"):
        read_collection(folder, Reading())
