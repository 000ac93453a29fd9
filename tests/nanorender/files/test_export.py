import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import regionprops

from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256
from nanorender.files.dataset import create_dataset, write_sample
from nanorender.files.export import LAYOUTS, coco_annotations, export, interior_and_border
from nanorender.files.labeled import LabeledImage, dataset_images, segmented_images
from nanorender.files.segmentation import SegmentationRecord, write_segmentation
from nanorender.files.tiff import write_image, write_labels


def decoded(segmentation):
    """The mask of an uncompressed run-length encoding, as COCO's own API reads it."""
    height, width = segmentation["size"]
    counts = segmentation["counts"]
    values = np.arange(len(counts)) % 2
    return np.repeat(values, counts).reshape((width, height)).T.astype(bool)


def three_images():
    for number in range(3):
        rng = np.random.default_rng(number)
        labels = np.zeros((40, 50), np.int32)
        labels[5:15, 5:15], labels[15:26, 5:20] = 1, 2
        yield LabeledImage(
            rng.integers(0, 256, (40, 50), np.uint8), labels, 2.5, Path(f"image {number}.tif")
        )


@given(
    arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 4))
)
def test_coco_masks_boxes_and_areas_are_those_of_the_labels(labels):
    regions = regionprops(labels)
    annotations = coco_annotations(labels)
    assert len(annotations) == len(regions)
    for annotation, region in zip(annotations, regions, strict=True):
        assert np.array_equal(decoded(annotation["segmentation"]), labels == region.label)
        assert sum(annotation["segmentation"]["counts"]) <= labels.size
        assert annotation["area"] == region.area
        top, left, bottom, right = region.bbox
        assert annotation["bbox"] == [left, top, right - left, bottom - top]


def test_coco_files_open_again(tmp_path):
    assert export("coco", three_images(), tmp_path / "out") == 3
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 2, 3]
    assert [note["id"] for note in content["annotations"]] == list(range(1, 7))
    assert {note["category_id"] for note in content["annotations"]} == {1}
    for image, original in zip(content["images"], three_images(), strict=True):
        pixels = tifffile.imread(tmp_path / "out" / "images" / image["file_name"])
        assert np.array_equal(pixels, original.image)
        masks = [
            decoded(note["segmentation"])
            for note in content["annotations"]
            if note["image_id"] == image["id"]
        ]
        assert np.array_equal(masks[0] + 2 * masks[1], original.labels)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of theirs
def test_pycocotools_reads_the_masks(tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    export("coco", three_images(), tmp_path / "out")
    data = coco.COCO(tmp_path / "out" / "annotations.json")
    original = next(three_images())
    masks = [data.annToMask(note) for note in data.imgToAnns[1]]
    assert np.array_equal(masks[0] + 2 * masks[1], original.labels)


@pytest.mark.parametrize(
    ("layout", "image_name", "label_name"),
    [
        ("cellpose", "{}.tif", "{}_masks.tif"),
        ("stardist", "images/{}.tif", "masks/{}.tif"),
    ],
)
def test_masks_have_the_expected_paths(tmp_path, layout, image_name, label_name):
    assert export(layout, three_images(), tmp_path) == 3
    for original in three_images():
        image = tifffile.imread(tmp_path / image_name.format(original.path.stem))
        labels = tifffile.imread(tmp_path / label_name.format(original.path.stem))
        assert np.array_equal(image, original.image)
        assert np.array_equal(labels, original.labels)
        assert labels.dtype == np.uint16


def test_the_nnunet_layout_has_classes_from_0_without_gaps(tmp_path):
    export("nnunet", three_images(), tmp_path)
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["numTraining"] == 3
    assert content["file_ending"] == ".tif"
    for original in three_images():
        name = original.path.stem
        assert (tmp_path / "imagesTr" / f"{name}_0000.tif").is_file()
        classes = tifffile.imread(tmp_path / "labelsTr" / f"{name}.tif")
        assert sorted(content["labels"].values()) == np.unique(classes).tolist() == [0, 1, 2]


def test_the_border_of_a_square_is_its_outermost_pixels():
    labels = np.zeros((10, 12), np.int32)
    labels[2:7, 3:9] = 1
    expected = np.zeros_like(labels)
    expected[2:7, 3:9] = 2
    expected[3:6, 4:8] = 1
    assert np.array_equal(interior_and_border(labels), expected)


def test_touching_particles_have_borders_on_both_sides():
    labels = np.ones((6, 8), np.int32)
    labels[:, 4:] = 2
    assert interior_and_border(labels)[0].tolist() == [1, 1, 1, 2, 2, 1, 1, 1]


def test_a_dataset_is_exported_sample_by_sample(tmp_path):
    folder = tmp_path / "set"
    create_dataset(folder, "squares", "a = 1\n", 0, 3)
    originals = list(three_images())
    for index, original in enumerate(originals):
        truth = {"label": np.array([1, 2])}
        write_sample(folder, index, original.image, original.labels, truth, 2.5)
    for image, original in zip(dataset_images(folder), originals, strict=True):
        assert np.array_equal(image.labels, original.labels)
        assert image.pixel_size_nm == 2.5
    assert export("stardist", dataset_images(folder), tmp_path / "out") == 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_without_particles_is_exported(tmp_path, layout):
    empty = LabeledImage(np.zeros((9, 9), np.uint16), np.zeros((9, 9), np.int32), None, Path("a"))
    assert export(layout, [empty], tmp_path / "out") == 1


def test_an_unknown_layout_and_a_full_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="'yolo'; choose one of coco, cellpose, stardist, nnunet"):
        export("yolo", three_images(), tmp_path / "out")
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(InputError, match="not empty"):
        export("coco", three_images(), tmp_path)
    with pytest.raises(InputError, match="is a file"):
        export("coco", three_images(), tmp_path / "a")


def segmented(folder, micrograph):
    """A micrograph and its label map, as `segment` leaves them."""
    *_, (image, labels, pixel_size_nm, _) = three_images()
    write_image(micrograph, image, pixel_size_nm)
    record = SegmentationRecord(
        image=micrograph,
        image_sha256=file_sha256(micrograph),
        crop=(0, 30, 0, 50),
        pixel_size_nm=pixel_size_nm,
        pixel_size_source="given by the user",
        model_sha256="0" * 64,
        training_pixel_sizes_nm=(1.0, 3.0),
        separation={"threshold": 0.51, "area_opening_px": 10},
        version="0",
    )
    write_segmentation(folder, labels[:30], record)
    return image[:30], labels[:30]


@pytest.mark.parametrize(
    ("layout", "names"),
    [("cellpose", "{}.tif {}_masks.tif"), ("stardist", "images/{}.tif masks/{}.tif")],
)
def test_label_maps_are_exported_with_their_micrographs(layout, names, tmp_path):
    expected = segmented(tmp_path / "labels", tmp_path / "grain.tif")
    assert export(layout, segmented_images(tmp_path / "labels"), tmp_path / "out") == 1
    for name, pixels in zip(names.format("grain", "grain").split(), expected, strict=True):
        with tifffile.TiffFile(tmp_path / "out" / name) as file:
            assert np.array_equal(file.asarray(), pixels)
            assert file.imagej_metadata["unit"] == "nm"


def test_label_maps_without_a_micrograph_are_not_exported(tmp_path):
    write_labels(tmp_path / "a.tif", np.ones((5, 5), np.int32), 2.0)
    with pytest.raises(InputError, match="no record of its micrograph"):
        list(segmented_images(tmp_path))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_failed_export_leaves_nothing(tmp_path, layout):
    def torn():
        yield from three_images()
        raise InputError("the fourth is cut off")

    with pytest.raises(InputError, match="the fourth"):
        export(layout, torn(), tmp_path / "out")
    assert not list(tmp_path.iterdir())
