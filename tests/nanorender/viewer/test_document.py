import json
from dataclasses import replace

import numpy as np
import pytest

import cli
from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256
from nanorender.files.segmentation import SegmentationRecord, read_segmented, write_segmentation
from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.scoring.results import read_results
from nanorender.viewer.document import find_images, open_document, save_document
from nanorender.viewer.editing import delete_particle, merge_particles, split_by_line
from nanorender.viewer.reader import DOCUMENT, IMAGES, get_reader


def example_labels():
    labels = np.zeros((40, 60), np.int32)
    labels[2:12, 3:15] = 1
    labels[2:12, 20:30] = 2
    labels[15:30, 20:40] = 3
    labels[15:30, 40:55] = 4
    return labels


@pytest.fixture
def study(tmp_path):
    """Two micrographs of 50 x 70 pixels, and the label map of the first one's inner part."""
    gray = np.random.default_rng(0).integers(0, 200, (50, 70)).astype(np.uint8)
    for name in ("a", "b"):
        (tmp_path / "micrographs").mkdir(exist_ok=True)
        write_image(tmp_path / "micrographs" / f"{name}.tif", gray, 2.0)
    image = tmp_path / "micrographs" / "a.tif"
    record = SegmentationRecord(
        image=image,
        image_sha256=file_sha256(image),
        crop=(3, 43, 5, 65),
        pixel_size_nm=2.0,
        pixel_size_source="ImageJ calibration",
        model_sha256="0" * 64,
        training_pixel_sizes_nm=None,
        separation={},
        confidence=(0.9, 0.3, 0.7, 0.6),
        version="0",
    )
    write_segmentation(tmp_path / "labels", example_labels(), record)
    return tmp_path


def corrected(document):
    """Merge 3 and 4, delete 2, divide 1, and draw a particle."""
    labels = document.labels.copy()
    merge_particles(labels, 3, 4).apply_to(labels)
    delete_particle(labels, 2).apply_to(labels)
    split_by_line(labels, (0.0, 8.0), (20.0, 8.0), 5).apply_to(labels)
    labels[35:39, 2:6] = 9
    return labels


def test_a_study_a_folder_of_label_maps_and_micrographs_are_opened(study):
    (label_map,) = find_images(study)
    assert find_images(study / "labels") == [label_map]
    assert [path.name for path in find_images(study / "micrographs")] == ["a.tif", "b.tif"]
    assert np.array_equal(open_document(label_map).labels, example_labels())
    document = open_document(study / "micrographs" / "b.tif")
    assert document.labels is None
    assert document.path == study / "micrographs" / "labels" / "b.tif"


def test_corrections_are_counted_marked_and_measured(study):
    document = open_document(study / "labels" / "a.tif")
    labels = corrected(document)
    assert document.changes(labels) == (4, 2, 2, 2)
    save_document(document, labels, study / "labels", 0.0)

    read = read_segmented(study / "labels" / "a.tif")
    assert read.edited
    np.testing.assert_array_equal(
        np.isnan(read.confidence),
        [
            not np.array_equal(read.labels == label, example_labels() == label)
            for label in range(1, int(read.labels.max()) + 1)
        ],
    )
    assert str(read.corrections) == "2 added, 2 removed, 2 changed"
    (result,) = read_results(study / "labels")
    assert str(result.corrections) == "2 added, 2 removed, 2 changed"
    assert np.array_equal(read.labels > 0, labels > 0)
    cli.measure(study / "labels", study / "p.csv", 1)
    assert len((study / "p.csv").read_text().splitlines()) == 1 + 4
    cli.report(study / "labels", study / "report")
    page = (study / "report" / "index.html").read_text()
    assert "(label map edited: 2 added, 2 removed, 2 changed)" in page
    (image,) = json.loads((study / "report" / "summary.json").read_text())["images"]
    assert image["corrections"] == {"added": 2, "removed": 2, "changed": 2}


def test_corrections_go_on_where_they_were_left(study):
    document = open_document(study / "labels" / "a.tif")
    labels = corrected(document)
    save_document(document, labels, study / "labels", 0.0)
    again = open_document(study / "labels" / "a.tif")
    assert np.array_equal(again.found, example_labels())
    assert again.confidence.tolist() == [0.9, 0.3, 0.7, 0.6]
    assert again.changes(again.labels) == document.changes(labels)
    undone = save_document(again, example_labels(), study / "labels", 0.0)
    assert not undone.uncorrected_path.exists()
    read = read_segmented(study / "labels" / "a.tif")
    assert not read.edited
    assert read.confidence is not None


def test_particles_left_out_by_the_threshold_are_not_corrections(study):
    document = open_document(study / "labels" / "a.tif")
    document = replace(document, dropped=frozenset({2}))
    labels = np.where(document.found == 2, 0, document.found)
    assert document.changes(labels) == (3, 0, 0, 0)
    saved = save_document(document, labels, study / "new", 0.5)
    read = read_segmented(study / "new" / "a.tif")
    assert not read.edited
    assert read.confidence.tolist() == [0.9, 0.7, 0.6]
    assert json.loads((study / "new" / "a.json").read_text())["min_confidence"] == 0.5

    # With a correction, and then at a lower threshold again.
    drawn = labels.copy()
    drawn[35:39, 2:6] = 2  # the number of the particle that was left out
    assert document.changes(drawn) == (4, 1, 0, 0)
    saved = save_document(saved, drawn, study / "new", 0.5)
    assert read_labels(study / "new" / "a.tif")[0][36, 3] == 4
    lower = replace(saved, dropped=frozenset())
    save_document(lower, document.found, study / "new", 0.0)
    assert read_segmented(study / "new" / "a.tif").confidence.tolist() == [0.9, 0.3, 0.7, 0.6]


def test_a_label_map_edited_elsewhere_keeps_its_numbers_and_its_mark(study):
    path = study / "labels" / "a.tif"
    edited = np.where(example_labels() == 2, 0, example_labels())
    write_labels(path, edited, 2.0)
    document = open_document(path)
    assert document.confidence is None
    labels = document.labels.copy()
    labels[35:39, 2:6] = 12
    save_document(document, labels, study / "labels", 0.0)
    read = read_segmented(path)
    assert np.array_equal(read.labels, labels)
    assert read.edited
    assert read.corrections is None  # of which only a part is known


def test_counts_are_not_shown_after_a_further_change_by_another_program(study):
    document = open_document(study / "labels" / "a.tif")
    save_document(document, corrected(document), study / "labels", 0.0)
    labels, size = read_labels(study / "labels" / "a.tif")
    labels[0, 0] = 1
    write_labels(study / "labels" / "a.tif", labels, size)
    read = read_segmented(study / "labels" / "a.tif")
    assert read.edited
    assert read.corrections is None


def test_files_of_other_origin_are_not_replaced(study):
    document = open_document(study / "labels" / "a.tif")
    labels = corrected(document)
    (study / "other").mkdir()
    write_labels(study / "other" / "a.tif", labels, 2.0)
    with pytest.raises(InputError, match="is not the label map that was opened"):
        save_document(document, labels, study / "other", 0.0)
    with pytest.raises(InputError, match="is the folder of the micrographs"):
        save_document(document, labels, study / "micrographs", 0.0)
    write_labels(study / "labels" / "a.tif", labels, 2.0)
    with pytest.raises(InputError, match="changed by another program"):
        save_document(document, labels, study / "labels", 0.0)
    assert not (study / "labels" / "uncorrected").exists()


def test_an_image_without_particles_is_not_saved(study):
    document = open_document(study / "micrographs" / "b.tif")
    with pytest.raises(InputError, match="segment the image before you save it"):
        save_document(document, np.zeros((50, 70), np.int32), study / "new", 0.0)
    assert not (study / "new").exists()


def test_the_label_map_beside_a_micrograph_is_opened_with_it(study):
    document = open_document(study / "labels" / "a.tif")
    save_document(document, corrected(document), study / "micrographs" / "labels", 0.0)
    beside = open_document(study / "micrographs" / "a.tif")
    assert beside.changes(beside.labels) == (4, 2, 2, 2)


def test_the_reader_gives_layers_in_nm(study):
    image, labels = get_reader(str(study))(str(study))
    assert (image[2], labels[2]) == ("image", "labels")
    assert image[0].shape == labels[0].shape == (40, 60)
    for _, keywords, _ in (image, labels):
        assert keywords["scale"] == (2.0, 2.0)
        assert keywords["units"] == ("nm", "nm")
        assert keywords["metadata"][IMAGES] == (study / "labels" / "a.tif",)
        assert keywords["metadata"][DOCUMENT].record is not None
    assert labels[1]["features"]["confidence"].tolist() == [0.9, 0.3, 0.7, 0.6]
    (only,) = get_reader([str(study / "micrographs" / "b.tif")])(None)
    assert only[2] == "image"


def test_the_reader_leaves_other_files_to_others(study):
    (study / "notes.txt").touch()
    assert get_reader(str(study / "notes.txt")) is None
    assert get_reader([str(study), str(study)]) is None
