import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256
from nanorender.files.segmentation import SegmentationRecord, write_segmentation
from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.twins.study import read_study


@pytest.fixture
def labels(tmp_path):
    """Write two micrographs and their label maps, and return the folder of the latter."""
    found = np.zeros((40, 50), np.int32)
    found[5:15, 5:15], found[20:30, 20:35] = 1, 2
    for name in ("a", "b"):
        image = tmp_path / f"{name}.tif"
        write_image(image, np.where(found > 0, 180, 40).astype(np.uint8), 2.0)
        write_segmentation(tmp_path / "labels", found, record_of(image))
    return tmp_path / "labels"


def record_of(image, **changed):
    settings = {
        "image": image,
        "image_sha256": file_sha256(image),
        "crop": (0, 40, 0, 50),
        "pixel_size_nm": 2.0,
        "pixel_size_source": "known",
        "model_sha256": "m",
        "training_pixel_sizes_nm": None,
        "separation": {"markers": "distance"},
        "min_confidence": 0.7,
        "version": "1",
    }
    return SegmentationRecord(**{**settings, **changed})


def test_a_study_has_micrographs_and_particles_in_pixels(labels):
    study = read_study(labels)
    assert study.names == ("a", "b")
    assert [len(table) for table in study.tables] == [2, 2]
    assert study.tables[0]["area_px2"].tolist() == [100, 150]
    assert study.micrographs[1].pixel_size_nm == 2.0
    assert study.record.min_confidence == 0.7


def test_the_polarity_is_that_of_the_particles_found(labels):
    assert not read_study(labels).has_dark_particles
    for name in ("a", "b"):
        image = labels.parent / f"{name}.tif"
        found, edge_nm = read_labels(labels / image.name)
        image.unlink()
        write_image(image, np.where(found > 0, 40, 180).astype(np.uint8), edge_nm)
        write_segmentation(labels, found, record_of(image))
    assert read_study(labels).has_dark_particles


def test_label_maps_of_other_origin_are_refused(labels):
    (labels / "b.json").unlink()
    with pytest.raises(InputError, match="has no record of 'nanorender segment'"):
        read_study(labels)


def test_label_maps_of_different_settings_are_refused(labels):
    image = labels.parent / "b.tif"
    write_segmentation(labels, np.eye(40, 50, dtype=np.int32), record_of(image, min_confidence=0.5))
    with pytest.raises(InputError, match=r"b\.tif was segmented in another way than a\.tif"):
        read_study(labels)


def test_edited_label_maps_are_refused(labels):
    write_labels(labels / "a.tif", np.eye(40, 50, dtype=np.int32), 2.0)
    with pytest.raises(InputError, match=r"a\.tif was edited by hand"):
        read_study(labels)
