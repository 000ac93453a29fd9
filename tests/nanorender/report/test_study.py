import json

import numpy as np
import pytest
import tifffile
from roifile import roiread

from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256
from nanorender.files.segmentation import SegmentationRecord, read_record, write_segmentation
from nanorender.files.tiff import write_image, write_labels
from nanorender.report.study import write_report
from nanorender.scoring.results import format_scores, read_results
from nanorender.statistics.summary import Statistics


def two_particles():
    labels = np.zeros((60, 80), np.int32)
    labels[10:30, 10:30], labels[35:55, 40:70] = 1, 2
    return labels


@pytest.fixture
def folder(tmp_path):
    """One micrograph, its label map with a record, and its annotation."""
    labels = two_particles()
    write_image(tmp_path / "grain.tif", np.where(labels > 0, 200, 30).astype(np.uint8), 2.0)
    write_labels(tmp_path / "grain_m.tif", labels, 2.0)
    record = SegmentationRecord(
        image=tmp_path / "grain.tif",
        image_sha256=file_sha256(tmp_path / "grain.tif"),
        crop=(0, 60, 0, 80),
        pixel_size_nm=2.0,
        pixel_size_source="given by the user",
        model_sha256="0" * 64,
        training_pixel_sizes_nm=(1.0, 3.0),
        separation={"threshold": 0.51, "area_opening_px": 10},
        version="0",
    )
    write_segmentation(tmp_path / "labels", labels, record)
    return tmp_path


def test_particles_are_measured_in_the_units_of_the_record(folder):
    (result,) = read_results(folder / "labels")
    assert result.table["area_nm2"].tolist() == [20 * 20 * 4, 20 * 30 * 4]
    assert result.pixel_size_source == "given by the user"
    assert result.scores is None


def test_a_perfect_segmentation_scores_one(folder):
    (line,) = format_scores(read_results(folder / "labels", "_m"))
    assert line == (
        "grain: pixel precision 1.000, recall 1.000, accuracy 1.000, F1 1.000, "
        "object F1@0.5 1.000, found/true 1.000"
    )


def test_outlines_of_a_cropped_micrograph_fit_its_file(folder):
    record = read_record(folder / "labels" / "grain.tif")
    top, left = 6, 9
    cropped = record.model_copy(update={"crop": (top, 58, left, 75)})
    write_segmentation(folder / "labels", two_particles()[top:58, left:75], cropped)
    write_report(
        folder / "labels",
        read_results(folder / "labels"),
        folder / "report",
        Statistics(resamples=20),
        "Cropped",
        "nanorender report labels",
    )
    regions = roiread(folder / "report" / "rois" / "grain.zip")
    image = tifffile.imread(folder / "grain.tif")
    for region, (rows, columns) in zip(regions, [(20, 20), (20, 30)], strict=True):
        inside = image[region.top : region.bottom, region.left : region.right]
        assert inside.shape == (rows, columns)
        assert (inside == 200).all()


def test_map_without_record_uses_its_own_calibration(tmp_path):
    (tmp_path / "cells").mkdir()
    write_labels(tmp_path / "cells" / "a.tif", two_particles(), 5.0)
    (result,) = read_results(tmp_path / "cells")
    assert result.pixel_size_nm == pytest.approx(5.0, rel=1e-4)
    assert result.table["area_nm2"].tolist() == pytest.approx([400 * 25, 600 * 25], rel=1e-3)


def test_the_report_says_how_the_maps_were_made(folder):
    results = read_results(folder / "labels", "_m")
    out = folder / "report"
    drawn = []
    page = write_report(
        folder / "labels",
        results,
        out,
        Statistics(),
        "Grains",
        "nanorender report",
        on_progress=lambda *now: drawn.append(now),
    )
    assert drawn == [(0, 1), (1, 1)]
    summary = json.loads(page.with_name("summary.json").read_text())
    assert summary["parameters"]["separation"]["area_opening_px"] == 10
    assert summary["summary"]["floor"]["causes"]
    assert "nanorender report" in page.read_text()


def test_the_report_is_on_the_size_that_is_asked_for(folder):
    results = read_results(folder / "labels")
    settings = Statistics(quantity="min_feret", weighting="volume", frame_correction="drop")
    command = "nanorender report --size min_feret"
    out = folder / "report"
    page = write_report(folder / "labels", results, out, settings, "Grains", command)
    summary = json.loads(page.with_name("summary.json").read_text())["summary"]
    assert summary["settings"]["quantity"] == "min_feret"
    # Both particles are 20 px across at least, of 2 nm each.
    assert summary["sizes"]["d50"]["value"] == pytest.approx(40)
    text = page.read_text()
    assert "minimum Feret diameter" in text
    assert "volume-weighted" in text


def test_a_label_map_of_another_size_than_its_micrograph_is_refused(folder):
    write_labels(folder / "labels" / "grain.tif", np.zeros((9, 9), np.int32), 2.0)
    with pytest.raises(InputError, match="segment the image again"):
        read_results(folder / "labels")
