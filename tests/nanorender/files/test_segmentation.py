import json
from pathlib import Path

import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256
from nanorender.files.segmentation import (
    SegmentationRecord,
    find_label_maps,
    read_record,
    write_segmentation,
)
from nanorender.files.tiff import read_labels, write_image


@pytest.fixture
def record(tmp_path) -> SegmentationRecord:
    image = np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)
    write_image(tmp_path / "grain.tif", image, 2.5)
    return SegmentationRecord(
        image=tmp_path / "grain.tif",
        image_sha256=file_sha256(tmp_path / "grain.tif"),
        crop=(0, 30, 0, 60),
        pixel_size_nm=2.5,
        pixel_size_source="ImageJ",
        model_sha256="0" * 64,
        training_pixel_sizes_nm=(2.0, 3.0),
        separation={"threshold": 0.51},
        version="0",
    )


def test_a_label_map_and_its_record_are_read_as_written(record, tmp_path):
    labels = np.zeros((30, 60), np.int32)
    labels[4:9, 5:20] = 1
    path = write_segmentation(tmp_path / "labels", labels, record)
    assert find_label_maps(tmp_path / "labels") == [path]
    assert np.array_equal(read_labels(path)[0], labels)
    assert read_record(path).is_of_same_settings(record)


def test_the_micrograph_is_read_as_it_was_segmented(record):
    micrograph = record.read_micrograph()
    assert micrograph.image.shape == (30, 60)
    assert micrograph.pixel_size_nm == 2.5


def test_segmentation_in_pixels_ignores_the_header(record):
    in_pixels = record.model_copy(update={"pixel_size_nm": None, "pixel_size_source": "none"})
    assert in_pixels.read_micrograph().pixel_size_nm is None


def test_a_micrograph_that_has_changed_is_refused(record):
    write_image(record.image, np.zeros((40, 60), np.uint8), 2.5)
    with pytest.raises(InputError, match="has changed"):
        record.read_micrograph()


def test_a_spoiled_record_is_refused(record, tmp_path):
    path = write_segmentation(tmp_path / "labels", np.zeros((30, 60), np.int32), record)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(InputError, match="not a valid"):
        read_record(path)


def test_map_of_another_program_has_no_record(tmp_path):
    assert read_record(tmp_path / "cells.tif") is None


@pytest.mark.parametrize("folder", [Path("missing"), Path()])
def test_a_folder_without_label_maps_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="nanorender segment"):
        find_label_maps(tmp_path / folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("pixel_size_nm", 1e308), ("pixel_size_nm", -1), ("trained_diameters_px", [-1, 2])),
        *(("separation", {"area_opening_px": "x"}), ("separation", {"grow_px": 10**400})),
    ],
)
def test_record_with_invalid_numbers_is_refused(record, tmp_path, key, value):
    path = write_segmentation(tmp_path / "labels", np.zeros((30, 60), np.int32), record)
    said = json.loads(path.with_suffix(".json").read_text()) | {key: value}
    path.with_suffix(".json").write_text(json.dumps(said))
    with pytest.raises(InputError, match="is not a valid segmentation record"):
        read_record(path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/", "/dev/zero"])
def test_a_record_that_names_no_file_is_refused(record, name):
    with pytest.raises(InputError, match="is missing or has changed"):
        record.model_copy(update={"image": Path(name)}).read_micrograph()
