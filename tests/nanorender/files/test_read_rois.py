import base64
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from nanorender.errors import InputError
from nanorender.files.coco import CocoRunLengths, RunLengths
from nanorender.files.imagej import read_imagej_rois
from nanorender.files.rois import find_drawings

SHAPE = (30, 40)


def filled(particle, shape=SHAPE):
    patch = particle.patch(shape)
    whole = np.zeros(shape, bool)
    rows, columns = patch.mask.shape
    whole[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.mask
    return whole


def read(path, region):
    """Write a region, and return the particle that is read."""
    path.write_bytes(region.tobytes())
    (particle,) = read_imagej_rois(path)
    return particle


def box(kind, left=4, top=6, right=14, bottom=16):
    region = ImagejRoi()
    region.roitype, region.name = kind, "0011-0009"
    region.left, region.top, region.right, region.bottom = left, top, right, bottom
    return region


@pytest.mark.parametrize("kind", [ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED])
def test_a_polygon_of_imagej_goes_along_the_corners_of_pixels(tmp_path, kind):
    region = ImagejRoi.frompoints(np.array([[4, 6], [14, 6], [14, 16], [4, 16]]), name="00012")
    region.roitype = kind
    particle = read(tmp_path / "a.roi", region)
    assert particle.number == 12
    expected = np.zeros(SHAPE, bool)
    expected[6:16, 4:14] = True
    assert np.array_equal(filled(particle), expected)


def test_rectangles_and_ovals_of_imagej_may_lie_between_pixels(tmp_path):
    path = tmp_path / "a.roi"
    assert filled(read(path, box(ROI_TYPE.RECT)))[6:16, 4:14].sum() == 100
    oval = filled(read(path, box(ROI_TYPE.OVAL)))
    assert oval.sum() == pytest.approx(np.pi * 25, abs=4)
    assert np.array_equal(oval[6:16, 4:14], oval[6:16, 4:14][::-1, ::-1])
    moved = box(ROI_TYPE.RECT)
    moved.options = ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    moved.xd, moved.yd, moved.widthd, moved.heightd = 4.6, 6.4, 2.0, 3.0
    covered = filled(read(path, moved))
    assert np.argwhere(covered).min(axis=0).tolist() == [6, 5]
    assert covered.sum() == 6


def test_curves_of_composite_regions_are_followed(tmp_path):
    k = 4 / 3 * (np.sqrt(2) - 1) * 10  # cubic approximation of a circle of radius 10 at 15, 15
    path = [0, 25, 15, 3, 25, 15 + k, 15 + k, 25, 15, 25, 3, 15 - k, 25, 5, 15 + k, 5, 15]
    path += [3, 5, 15 - k, 15 - k, 5, 15, 5, 2, 25, 5, 25, 15, 4]
    region = box(ROI_TYPE.RECT)
    region.multi_coordinates = np.array(path, np.float32)
    region.shape_roi_size = len(path)
    # Three quarters of the circle, and a quarter bounded by a parabola (2/3 of its square).
    area = filled(read(tmp_path / "a.roi", region)).sum()
    assert area == pytest.approx(0.75 * np.pi * 100 + 100 * 5 / 6, rel=0.02)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"roitype": ROI_TYPE.POINT}, "is of type point, which has no area"),
        ({"roitype": ROI_TYPE.LINE}, "is of type line, which has no area"),
        ({"rounded_rect_arc_size": 4}, "is a rounded rectangle"),
        ({"subtype": ROI_SUBTYPE.IMAGE}, "is a text or image"),
        ({"options": ROI_OPTIONS.SPLINE_FIT}, "is a spline"),
    ],
)
def test_regions_that_outline_no_particle_are_refused_by_name(tmp_path, change, line):
    region = box(ROI_TYPE.RECT)
    for name, value in change.items():
        setattr(region, name, value)
    with pytest.raises(InputError, match=f"region '0011-0009' {line}"):
        read(tmp_path / "a.roi", region)


def test_an_archive_of_imagej_has_regions_and_maybe_other_files(tmp_path):
    unnamed = box(ROI_TYPE.RECT)
    unnamed.name = ""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("00007.roi", unnamed.tobytes())
        archive.writestr("__MACOSX/._00007.roi", b"metadata")
        archive.writestr("notes.txt", b"edited")
    (particle,) = read_imagej_rois(tmp_path / "a.zip")
    assert (particle.name, particle.number) == ("00007", 7)


def test_damaged_rois_are_refused_in_one_line(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match=r"a\.zip is not a ROI set of ImageJ"):
        read_imagej_rois(tmp_path / "a.zip")
    (tmp_path / "a.roi").write_bytes(box(ROI_TYPE.RECT).tobytes()[:40])
    with pytest.raises(InputError, match="'a' is not a region of ImageJ"):
        read_imagej_rois(tmp_path / "a.roi")


def labelme(tmp_path, *shapes, **keys):
    """Write a labelme file, and return its particles as filled masks."""
    content = {"version": "5.5.0", "flags": {}, "imageHeight": 30, "imageWidth": 40} | keys
    content["shapes"] = [{"label": "particle", "flags": {}, **shape} for shape in shapes]
    (tmp_path / "a.json").write_text(json.dumps(content))
    drawing = find_drawings(tmp_path / "a.json", ["a", "b"])["a"].read()
    return [filled(particle) for particle in drawing.particles]


def test_the_shapes_of_labelme_are_filled(tmp_path):
    mask = np.zeros((4, 5), np.uint8)
    mask[1:, 2:] = 1
    with io.BytesIO() as file:
        Image.fromarray(mask.astype(bool)).save(file, "PNG")
        encoded = base64.b64encode(file.getvalue()).decode()
    found = labelme(
        tmp_path,
        {"shape_type": "polygon", "points": [[1, 1], [5, 1], [5, 3], [1, 3]]},
        {"shape_type": "rectangle", "points": [[20, 9], [12, 4]]},
        {"shape_type": "circle", "points": [[20, 15], [28, 15]]},
        {"shape_type": "mask", "points": [[30, 20], [34, 23]], "mask": encoded},
        {"shape_type": "polygon", "points": [[0, 25], [2, 25], [2, 27]], "group_id": 4},
        {"shape_type": "rectangle", "points": [[3, 27], [6, 29]], "group_id": 4},
    )
    assert found[0][1:3, 1:5].sum() == found[0].sum() == 8
    assert found[1][4:9, 12:20].sum() == found[1].sum() == 40
    assert found[2].sum() == pytest.approx(np.pi * 64, abs=8)
    assert np.array_equal(found[3][20:24, 30:35], mask > 0)
    assert len(found) == 5
    assert found[4][27:29, 3:6].all()
    assert found[4].sum() == 2 * 3 + 3  # the triangle has three centers, two of them on its edge


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        ({"shape_type": "point", "points": [[1, 1]]}, "is of type point, which has no area"),
        ({"shape_type": "circle", "points": [[1, 1]]}, "is an incomplete circle"),
        ({"shape_type": "mask", "points": [[1, 1], [2, 2]]}, "is an incomplete mask"),
        ({"points": [[1, 1e300], [2, 2], [3, 3]]}, "has a coordinate"),
        ({"points": [[1, "x"]]}, r"'shapes.0.points.0.1' \(='x'\)"),
    ],
)
def test_shapes_of_labelme_without_area_are_refused(tmp_path, shape, line):
    with pytest.raises(InputError, match=line):
        labelme(tmp_path, shape)


def test_run_lengths_are_decoded_as_by_pycocotools():
    rng = np.random.default_rng(0)
    for density in (0.0, 0.02, 0.5, 1.0):
        mask = np.asfortranarray(rng.random(SHAPE) < density, dtype=np.uint8)
        mask[5:25, 8:30] |= density == 0.5
        packed = coco.encode(mask)["counts"].decode()
        runs = coco.frPyObjects({"size": list(SHAPE), "counts": _counts(mask)}, *SHAPE)
        assert runs["counts"].decode() == packed
        for counts in (packed, _counts(mask)):
            found = RunLengths(CocoRunLengths(size=SHAPE, counts=counts))
            assert np.array_equal(filled(found), mask > 0)


def _counts(mask):
    sequence = np.concatenate([[0], mask.T.ravel(), [2]])
    edges = np.flatnonzero(np.diff(sequence) != 0)
    return np.diff(np.concatenate([[0], edges])).tolist()


@pytest.mark.parametrize("counts", [[-1, 5], [10**30], [1000, 201], "P", "\x00", "o" * 99])
def test_impossible_run_lengths_are_refused(counts):
    runs = RunLengths(CocoRunLengths(size=SHAPE, counts=counts))
    with pytest.raises(ValueError, match="has a mask"):
        runs.patch(SHAPE)


def test_a_mask_of_another_size_is_refused():
    runs = RunLengths(CocoRunLengths(size=(10**9, 10**9), counts=[5]))
    with pytest.raises(ValueError, match=r"has a mask of size \[1000000000, 1000000000\], not"):
        runs.patch(SHAPE)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_polygons_of_coco_cover_nearly_what_pycocotools_fills(tmp_path):
    parts = [[5.2, 4.1, 30.7, 6.4, 22.3, 24.8, 6.6, 20.1], [33, 20, 38, 20, 38, 28, 33, 28]]
    content = {
        "images": [{"id": 7, "file_name": "C:\\images\\b.png", "height": 30, "width": 40}],
        "annotations": [{"id": 3, "image_id": 7, "segmentation": parts}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    drawing = find_drawings(tmp_path / "instances.json", ["a", "b"])["b"].read()
    assert drawing.shape == SHAPE
    (particle,) = drawing.particles
    assert particle.name == "annotation 3"
    expected = coco.decode(coco.merge(coco.frPyObjects(parts, *SHAPE))) > 0
    assert np.mean(filled(particle) != expected) < 0.02
    assert filled(particle)[20:28, 33:38].all()


def test_files_are_found_by_the_names_of_images(tmp_path):
    region = box(ROI_TYPE.RECT)
    (tmp_path / "b.roi").write_bytes(region.tobytes())
    (tmp_path / "record.json").write_text('{"image_sha256": "0"}')
    (tmp_path / "a.tif").write_bytes(b"")
    assert list(find_drawings(tmp_path, ["a", "b"])) == ["b"]
    assert list(find_drawings(tmp_path / "b.roi", ["a"])) == ["a"]  # one file for one image
    with pytest.raises(InputError, match=r"b\.roi belongs to no image; name it .* such as c\.roi"):
        find_drawings(tmp_path, ["c", "d"])
    (tmp_path / "b.json").write_text('{"shapes": []}')
    with pytest.raises(InputError, match=r"b\.json and .*b\.roi both have outlines of b"):
        find_drawings(tmp_path, ["a", "b"])


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.json", "{", "is not a valid JSON file"),
        ("a.json", "[]", "is a JSON file of neither labelme nor COCO"),
        ("a.json", '{"shapes": [{}]}', "'shapes.0.points' is missing"),
        ("a.json", '{"images": [{}], "annotations": []}', "'images.0.id' is missing"),
        ("a.csv", "x", "must be a ROI set of ImageJ"),
        ("a.zip", "x", "is not a ROI set of ImageJ"),
        ("missing.zip", None, "does not exist"),
    ],
)
def test_files_of_other_content_are_refused_in_one_line(tmp_path, name, text, line):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=line):
        find_drawings(tmp_path / name, ["a", "b"])["a"].read()


def test_a_folder_without_outlines_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no outlines"):
        find_drawings(tmp_path, ["a"])
