import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from roifile import ImagejRoi

import cli
from nanorender.errors import InputError
from nanorender.files.changes import count_changes, unchanged_labels
from nanorender.files.checksums import file_sha256
from nanorender.files.corrections import correct_label_maps
from nanorender.files.export import export
from nanorender.files.labeled import segmented_images
from nanorender.files.segmentation import SegmentationRecord, read_segmented, write_segmentation
from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.report.rois import write_rois

CROP = (3, 43, 5, 65)
"""Part of the micrographs of 50 x 70 pixels that is segmented."""


def example_labels():
    """Draw four particles: one with a hole, one in two parts, two in contact; label 3 is unused."""
    labels = np.zeros((40, 60), np.int32)
    labels[2:12, 3:15] = 1
    labels[5:8, 6:9] = 0
    labels[20:25, 5:9] = labels[26:30, 9:12] = 2
    labels[15:30, 20:40] = 4
    labels[15:30, 40:55] = 5
    return labels


@pytest.fixture
def study(tmp_path):
    """Two micrographs, their label maps and their ROI sets."""
    gray = np.random.default_rng(0).integers(0, 200, (50, 70)).astype(np.uint8)
    for folder in ("micrographs", "rois"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        image = tmp_path / "micrographs" / f"{name}.tif"
        write_image(image, gray, 2.0)
        record = SegmentationRecord(
            image=image,
            image_sha256=file_sha256(image),
            crop=CROP,
            pixel_size_nm=2.0,
            pixel_size_source="ImageJ calibration",
            model_sha256="0" * 64,
            training_pixel_sizes_nm=None,
            separation={},
            confidence=(0.9, 0.8, 0.7, 0.6, 0.5),
            version="0",
        )
        write_segmentation(tmp_path / "labels", example_labels(), record)
        write_rois(tmp_path / "rois" / f"{name}.zip", example_labels(), (CROP[2], CROP[0]))
    (tmp_path / "new").mkdir()
    return tmp_path


def edited(study, change):
    """Apply a change to the label map of `a`, and write its outlines as Fiji would."""
    labels = example_labels()
    change(labels)
    write_rois(study / "rois" / "a.zip", labels, (CROP[2], CROP[0]))
    return labels


def corrected(study, images="labels", drawn="rois"):
    summary = correct_label_maps(study / images, study / drawn, study / "new")
    assert summary.failures == ()
    return summary


def test_unedited_outlines_give_the_label_map_back_as_it_was(study):
    summary = corrected(study)
    assert summary.lines[0] == "a: 4 particles; 0 added, 0 removed, 0 changed"
    for name in ("a.tif", "b.tif"):
        read = read_segmented(study / "new" / name)
        assert np.array_equal(read.labels, example_labels())
        assert not read.edited
        assert read.confidence is not None


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.int32, (7, 9), elements=st.integers(0, 4)))
def test_any_label_map_survives_its_outlines(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("round")
    (folder / "new").mkdir()
    write_labels(folder / "a.tif", np.kron(labels, np.ones((3, 3), np.int32)), 2.0)
    write_rois(folder / "a.zip", read_labels(folder / "a.tif")[0])
    if not labels.any():
        return
    summary = correct_label_maps(folder / "a.tif", folder / "a.zip", folder / "new")
    # Values scattered as in a gray image are taken for a micrograph.
    if "added" in summary.lines[0]:
        assert "0 added, 0 removed, 0 changed" in summary.lines[0]
    again = read_labels(folder / "new" / "a.tif")[0]
    assert np.array_equal(again, read_labels(folder / "a.tif")[0])


def test_added_removed_and_changed_particles_are_counted(study):
    def change(labels):
        labels[labels == 2] = 0
        labels[2:12, 15:18] = 1
        labels[33:38, 50:58] = 999

    labels = edited(study, change)
    summary = corrected(study)
    assert summary.lines[0] == "a: 4 particles; 1 added, 1 removed, 1 changed"
    read = read_segmented(study / "new" / "a.tif")
    assert np.array_equal(read.labels, labels)
    assert read.edited
    known = np.flatnonzero(~np.isnan(read.confidence)) + 1
    assert known.tolist() == unchanged_labels(example_labels(), labels)
    assert len(known) == 2
    assert read.confidence[known - 1].tolist() == [(0.9, 0.8, 0.7, 0.6, 0.5)[k - 1] for k in known]
    assert count_changes(example_labels(), labels) == (4, 1, 1, 1)


def test_outlines_older_than_a_correction_say_which_particles_they_bring_back(study):
    path = study / "labels" / "a.tif"
    before = example_labels()
    write_labels(path, np.where(before == 4, 0, before), 2.0)
    lines = corrected(study).lines
    assert lines == (
        "a: 4 particles; 1 added, 0 removed, 0 changed "
        "(removed from the label map by hand before, now back: 4)",
        "b: 4 particles; 0 added, 0 removed, 0 changed",
    )


def test_a_particle_drawn_anew_keeps_its_number_and_others_get_new_ones(study):
    outlines = {
        "0017-0035": [[27, 17], [45, 17], [45, 33], [25, 33]],  # particle 4 but for a corner
        "0040-0060": [[60, 40], [64, 40], [64, 43], [60, 43]],
        "9999999": [[60, 30], [64, 30], [64, 33], [60, 33]],  # too large for a label
        "00001": [[8, 5], [11, 5], [11, 7], [8, 7]],  # named, but far smaller than it was
    }
    (study / "rois" / "a.zip").unlink()
    for name, corners in outlines.items():
        region = ImagejRoi.frompoints(np.array(corners), name=name)
        region.tofile(study / "rois" / "a.zip")
    assert corrected(study).lines[0] == "a: 4 particles; 2 added, 2 removed, 2 changed"
    labels = read_labels(study / "new" / "a.tif")[0]
    assert labels[25, 35] == 4
    assert (labels[38, 57], labels[28, 57]) == (6, 7)
    assert np.array_equal(np.argwhere(labels == 1).max(axis=0), [3, 5])


def test_the_smaller_of_overlapping_outlines_is_in_front_and_none_is_lost(study):
    (study / "rois" / "a.zip").unlink()
    for name, edge in (("small", 4), ("large", 10)):
        square = np.array([[0, 0], [edge, 0], [edge, edge], [0, edge]]) + 20
        ImagejRoi.frompoints(square, name=name).tofile(study / "rois" / "a.zip")
    corrected(study)
    counts = np.bincount(read_labels(study / "new" / "a.tif")[0].ravel())
    assert sorted(counts[6:].tolist()) == [16, 84]
    ImagejRoi.frompoints(square, name="again").tofile(study / "rois" / "a.zip")
    summary = correct_label_maps(study / "labels", study / "rois", study / "new")
    (line,) = summary.failures
    assert line.endswith("a.zip: large is covered by other outlines; delete it")


def test_images_without_outlines_are_kept(study):
    (study / "rois" / "b.zip").unlink()
    summary = corrected(study)
    assert summary.untouched == ("b",)
    assert not read_segmented(study / "new" / "b.tif").edited


@pytest.mark.parametrize("compressed", [False, True])
def test_an_exported_dataset_comes_back_from_coco(study, compressed):
    from pycocotools import mask

    export("coco", segmented_images(study / "labels"), study / "coco")
    path = study / "coco" / "annotations.json"
    if compressed:
        content = json.loads(path.read_text())
        for each in content["annotations"]:
            runs = mask.frPyObjects(each["segmentation"], *each["segmentation"]["size"])
            each["segmentation"] = {**runs, "counts": runs["counts"].decode()}
        path.write_text(json.dumps(content))
    summary = corrected(study, drawn="coco/annotations.json")
    assert [line[1:] for line in summary.lines] == [
        ": 4 particles; 0 added, 0 removed, 0 changed"
    ] * 2
    assert np.array_equal(read_labels(study / "new" / "b.tif")[0], example_labels())


def test_outlines_beside_micrographs_make_label_maps_to_report_on(study):
    square = {"shape_type": "rectangle", "points": [[10, 10], [20, 20]], "label": "grain"}
    content = {"shapes": [square], "imageHeight": 50, "imageWidth": 70, "imagePath": "a.tif"}
    (study / "micrographs" / "a.json").write_text(json.dumps(content))
    summary = corrected(study, "micrographs", "micrographs")
    assert summary.lines == ("a: 1 particles",)
    assert summary.left_out == ("b",)
    read = read_segmented(study / "new" / "a.tif")
    assert read.edited
    assert read.micrograph.path.name == "a.tif"
    assert read.labels[10:20, 10:20].all()
    assert read.labels.sum() == 100


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"imageHeight": 99}, "is of an image of 99 rows and 70 columns, but .* has 50 and 70"),
        ({"shapes": [{"points": [[1, 1], [2, 2]]}]}, "has an outline of fewer than three points"),
        (
            {"shapes": [{"points": [[-9, -9], [-2, -9], [-2, -2]]}]},
            "covers no pixel of the image, which has 40 rows and 60 columns",
        ),
    ],
)
def test_unusable_outlines_fail_with_their_file_and_the_others_are_done(study, keys, line):
    (study / "rois" / "a.zip").unlink()
    content = {"shapes": [], "imageHeight": 50, "imageWidth": 70} | keys
    (study / "rois" / "a.json").write_text(json.dumps(content))
    summary = correct_label_maps(study / "labels", study / "rois", study / "new")
    (failure,) = summary.failures
    assert failure.startswith(str(study / "rois" / "a.json"))
    with pytest.raises(InputError, match=line):
        raise InputError(failure)
    assert (study / "new" / "b.tif").is_file()


def test_the_table_of_unedited_outlines_is_the_one_of_the_label_maps(study, capsys):
    cli.measure(study / "labels", study / "before.csv", 1)
    cli.measure(study / "labels", study / "after.csv", 1, rois=study / "rois")
    assert (study / "before.csv").read_bytes() == (study / "after.csv").read_bytes()
    assert "b: 4 particles; 0 added, 0 removed, 0 changed" in capsys.readouterr().out
    assert {path.name for path in study.iterdir()} == {
        *("micrographs", "labels", "rois", "new", "before.csv", "after.csv")
    }


def test_corrected_label_maps_are_kept_on_request_and_marked_in_a_report(study):
    edited(study, lambda labels: labels.__setitem__(labels == 2, 0))
    out = study / "corrected"
    cli.measure(study / "labels", study / "p.csv", 1, rois=study / "rois", corrected=out)
    assert pd.read_csv(study / "p.csv").groupby("image").size().to_dict() == {"a": 3, "b": 4}
    assert read_segmented(out / "a.tif").edited
    with pytest.raises(InputError, match="already exists"):
        cli.measure(study / "labels", study / "p.csv", 1, rois=study / "rois", corrected=out)


def test_a_single_label_map_takes_a_file_of_any_name(study):
    shutil.move(study / "rois" / "a.zip", study / "RoiSet.zip")
    cli.measure(study / "labels" / "a.tif", study / "p.csv", 1, rois=study / "RoiSet.zip")
    assert len(pd.read_csv(study / "p.csv")) == 4
    with pytest.raises(InputError, match="belongs to no image; name it as its image, such as a"):
        cli.measure(study / "labels", study / "p.csv", 1, rois=study / "RoiSet.zip")


def test_one_unusable_file_of_several_is_listed_and_the_table_has_the_others(study, capsys):
    (study / "rois" / "a.zip").write_bytes(b"damaged")
    with pytest.raises(InputError, match="1 of 2 label maps failed"):
        cli.measure(study / "labels", study / "p.csv", 1, rois=study / "rois")
    assert "a.zip is not a ROI set of ImageJ" in capsys.readouterr().err
    assert set(pd.read_csv(study / "p.csv")["image"]) == {"b"}
    with pytest.raises(InputError, match=r"a\.zip is not a ROI set of ImageJ"):
        cli.measure(study / "labels" / "a.tif", study / "q.csv", 1, rois=study / "rois" / "a.zip")
    assert not (study / "q.csv").exists()


def test_options_that_exclude_or_need_outlines_are_refused(study):
    with pytest.raises(InputError, match="--binary and --rois exclude each other"):
        cli.measure(study / "labels", binary=True, rois=study / "rois")
    with pytest.raises(InputError, match="--corrected needs --rois"):
        cli.measure(study / "labels", corrected=study / "corrected")
