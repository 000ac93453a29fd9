import os
import resource
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import label

from nanorender.errors import InputError
from nanorender.files.annotation import find_truth
from nanorender.files.atomic import PART_PREFIX
from nanorender.files.imagefolder import find_micrographs
from nanorender.files.micrograph import read_micrograph
from nanorender.files.tiff import read_labels, write_image, write_labels

GENUINE = Path(__file__).parents[4] / "shared" / "micrographs"

needs_genuine_files = pytest.mark.skipif(
    not GENUINE.is_dir(), reason="the genuine micrographs in ../shared/micrographs are not here"
)


def noise(height=60, width=80, dtype=np.uint8):
    values = np.random.default_rng(7).normal(0.4, 0.1, (height, width)).clip(0, 1)
    return (values * np.iinfo(dtype).max).astype(dtype)


def discs(height=60, width=80):
    """Two discs that touch at a corner only, as labels."""
    labels = np.zeros((height, width), np.uint16)
    labels[10:20, 10:20] = 1
    labels[20:30, 20:30] = 2
    return labels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"tile": (32, 32), "compression": "zstd"},
        {"rowsperstrip": 7},
    ],
)
def test_tiffs_of_8_and_16_bit_keep_their_values(tmp_path, dtype, options):
    tifffile.imwrite(tmp_path / "a.tif", noise(dtype=dtype), **options)
    read = read_micrograph(tmp_path / "a.tif")
    assert read.image.dtype == dtype
    assert np.array_equal(read.image, noise(dtype=dtype))
    assert read.crop == (0, 60, 0, 80)


def test_png_and_jpeg_are_read(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    Image.fromarray(noise(dtype=np.uint16)).save(tmp_path / "b.png")
    Image.fromarray(noise()).save(tmp_path / "c.jpg", quality=98)
    assert np.array_equal(read_micrograph(tmp_path / "a.png").image, noise())
    assert np.array_equal(read_micrograph(tmp_path / "b.png").image, noise(dtype=np.uint16))
    difference = read_micrograph(tmp_path / "c.jpg").image.astype(int) - noise()
    assert np.abs(difference).max() < 8


def test_the_index_of_a_palette_is_the_gray_value(tmp_path):
    colors = np.random.default_rng(1).integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", noise(), photometric="palette", colormap=colors)
    assert np.array_equal(read_micrograph(tmp_path / "a.tif").image, noise())


@pytest.mark.parametrize("samples", [2, 3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_equal_channels_are_one_gray_image_and_opacity_is_dropped(tmp_path, samples, planar):
    channels = [noise()] * 3 if samples > 2 else [noise()]
    stacked = np.stack([*channels, *[np.full_like(noise(), 255)] * (samples % 2 == 0)])
    stacked = stacked if planar == "separate" else np.moveaxis(stacked, 0, -1)
    kind = "rgb" if samples > 2 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", stacked, photometric=kind, planarconfig=planar)
    assert np.array_equal(read_micrograph(tmp_path / "a.tif").image, noise())


def test_a_color_photograph_is_refused(tmp_path):
    photograph = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for name in ("a.tif", "a.png", "a.jpg"):
        if name.endswith("tif"):
            tifffile.imwrite(tmp_path / name, photograph, photometric="rgb")
        else:
            Image.fromarray(photograph).save(tmp_path / name)
        with pytest.raises(InputError, match="color picture"):
            read_micrograph(tmp_path / name)


def test_where_zero_is_white_the_image_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(), photometric="miniswhite")
    assert np.array_equal(read_micrograph(tmp_path / "a.tif").image, 255 - noise())


def test_the_first_of_several_pages_is_taken_with_a_note(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(noise())
        tif.write(noise(30, 30))
    read = read_micrograph(tmp_path / "a.tif")
    assert np.array_equal(read.image, noise())
    assert read.notes == ("the file has several pages; the first is used",)


def test_floating_point_images_are_stretched_with_a_note(tmp_path):
    values = noise().astype(np.float32) / 255 - 0.25
    tifffile.imwrite(tmp_path / "a.tif", values)
    read = read_micrograph(tmp_path / "a.tif")
    expected = (values - values.min()) / np.ptp(values) * 65535
    assert np.allclose(read.image, expected, atol=0.51)
    assert "stretched" in read.notes[0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_numbers_are_refused(tmp_path, value):
    values = noise().astype(np.float32)
    values[3, 4] = value
    tifffile.imwrite(tmp_path / "a.tif", values)
    with pytest.raises(InputError, match="not numbers"):
        read_micrograph(tmp_path / "a.tif")


@pytest.mark.parametrize("shape", [(1, 1), (15, 15), (1, 10000), (10000, 1)])
def test_odd_shapes_are_read_whole(tmp_path, shape):
    tifffile.imwrite(tmp_path / "a.tif", noise(*shape))
    assert np.array_equal(read_micrograph(tmp_path / "a.tif").image, noise(*shape))


@pytest.mark.parametrize("name", ["with space", "\u00fcn\u00efc\u00f6de \u7c92\u5b50", "n" * 200])
def test_any_file_name_is_read_and_written(tmp_path, name):
    write_image(tmp_path / f"{name}.tif", noise(), 2.5)
    assert read_micrograph(tmp_path / f"{name}.tif").name == name


def test_the_pixel_size_given_wins_over_the_file(tmp_path):
    write_image(tmp_path / "a.tif", noise(), 2.5)
    assert read_micrograph(tmp_path / "a.tif").pixel_size_nm == 2.5
    read = read_micrograph(tmp_path / "a.tif", pixel_size_nm=4.0)
    assert (read.pixel_size_nm, read.pixel_size_source) == (4.0, "given by the user")
    for impossible in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="pixel_size_nm must be"):
            read_micrograph(tmp_path / "a.tif", pixel_size_nm=impossible)


def with_bar(ground, writing, dtype=np.uint8, trailing=0):
    """A noisy image with an info bar of 40 of 300 rows, with writing and a last row of image."""
    image = noise(300, 400, dtype)
    bar = np.full((40, 400), ground, dtype)
    bar[12:28, 20:380:3] = writing
    image[260 - trailing : 300 - trailing] = bar
    return image


@pytest.mark.parametrize(("ground", "writing"), [(0, 255), (255, 0)])
@pytest.mark.parametrize("trailing", [0, 2])
def test_an_info_bar_is_cut(tmp_path, ground, writing, trailing):
    tifffile.imwrite(tmp_path / "a.tif", with_bar(ground, writing, trailing=trailing))
    read = read_micrograph(tmp_path / "a.tif")
    assert read.crop == (0, 260 - trailing, 0, 400)
    assert read.image.shape == (260 - trailing, 400)
    assert read.file_shape == (300, 400)


def test_a_crop_overrides_the_search_for_a_bar(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", with_bar(0, 255))
    read = read_micrograph(tmp_path / "a.tif", crop=(10, 300, 5, 100))
    assert np.array_equal(read.image, with_bar(0, 255)[10:300, 5:100])


@pytest.mark.parametrize("crop", [(0, 301, 0, 400), (5, 5, 0, 400), (-1, 9, 0, 9), (0, 9, 9, 3)])
def test_an_impossible_crop_is_refused(tmp_path, crop):
    tifffile.imwrite(tmp_path / "a.tif", with_bar(0, 255))
    with pytest.raises(InputError, match="does not fit"):
        read_micrograph(tmp_path / "a.tif", crop=crop)


def test_images_without_a_bar_stay_whole(tmp_path):
    empty_below = noise(300, 400)
    empty_below[250:] = 0
    floating = noise(300, 400)
    floating[250:280, 40:350] = 0
    floating[258:270, 60:300:3] = 255
    black_ground = noise(300, 400)
    black_ground[(np.indices((300, 400)).sum(axis=0) % 60) > 20] = 0
    for image in (noise(300, 400), empty_below, floating, black_ground):
        tifffile.imwrite(tmp_path / "a.tif", image)
        assert read_micrograph(tmp_path / "a.tif").image.shape == (300, 400)


@pytest.mark.parametrize(
    ("folder", "shape"),
    [
        ("tio2_sem", (712, 1024)),
        ("nanowires_sem", (890, 1280)),
        ("sio2_spheres_sem", (484, 712)),
        ("powder_spheres_sem", (1024, 1536)),
    ],
)
@needs_genuine_files
def test_genuine_bars_are_cut_and_genuine_annotations_left_out(folder, shape):
    found = find_micrographs(GENUINE / folder)
    assert {read_micrograph(path).image.shape for path in found.images} == {shape}
    assert len(found.left_out) == (
        len(found.images) if folder in ("tio2_sem", "powder_spheres_sem") else 0
    )
    assert all(path.stem.endswith(("_m", "_labels")) for path in found.left_out)


@needs_genuine_files
def test_a_genuine_mask_has_as_many_particles_as_connected_regions():
    micrograph = read_micrograph(GENUINE / "tio2_sem" / "1908248.tif")
    labels = find_truth(micrograph, "_m.tif")
    assert labels.shape == micrograph.image.shape
    mask = tifffile.imread(GENUINE / "tio2_sem" / "1908248_m.tif")[:712]
    assert labels.max() == label(mask > 0, connectivity=1).max()


def test_micrographs_are_found_in_natural_order_without_their_annotations(tmp_path):
    for number in (10, 2, 1):
        tifffile.imwrite(tmp_path / f"img{number}.tif", noise())
        tifffile.imwrite(tmp_path / f"img{number}_mask.tif", (discs() > 0).astype(np.uint8) * 255)
        Image.fromarray(discs()).save(tmp_path / f"img{number}_labels.png")
    (tmp_path / "notes.txt").write_text("hello")
    tifffile.imwrite(tmp_path / "._img1.tif", noise())
    found = find_micrographs(tmp_path)
    assert [path.name for path in found.images] == ["img1.tif", "img2.tif", "img10.tif"]
    assert len(found.left_out) == 6


def test_annotations_named_by_an_option_are_left_out_whatever_they_hold(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise())
    tifffile.imwrite(tmp_path / "a_truth.tif", noise())
    assert len(find_micrographs(tmp_path).images) == 2
    found = find_micrographs(tmp_path, truth_suffix="_truth.tif")
    assert [path.name for path in found.images] == ["a.tif"]


def test_a_missing_and_an_empty_folder_and_twins_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_micrographs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="contains no image files"):
        find_micrographs(tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", noise())
    Image.fromarray(noise()).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="share a name"):
        find_micrographs(tmp_path)
    assert find_micrographs(tmp_path / "a.tif").images == (tmp_path / "a.tif",)


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


def test_missing_files_folders_and_texts_are_refused(tmp_path):
    (tmp_path / "text.tif").write_text("This is no image.")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name, problem in [
        ("text.tif", "is not a TIFF, PNG or JPEG image"),
        ("empty.tif", "is not a TIFF, PNG or JPEG image"),
        ("nowhere.tif", "does not exist"),
        ("", "is damaged"),
    ]:
        with pytest.raises(InputError, match=problem):
            read_micrograph(tmp_path / name)


def outcome(path):
    """The micrograph, or the line that refuses it."""
    try:
        return read_micrograph(path)
    except InputError as error:
        return str(error)


def forged(path, **tags):
    """Overwrite entries of a small TIFF's first directory."""
    tifffile.imwrite(path, noise(), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for name, value in tags.items():
            tif.pages.first.tags[name].overwrite(value)


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageWidth": 10**6, "ImageLength": 10**6},
        {"ImageWidth": 2**31 - 1},
        {"ImageLength": 0},
        {"ImageLength": 61},
        {"StripByteCounts": 2**31 - 1},
        {"StripOffsets": 2**31 - 1},
        {"RowsPerStrip": 1},
    ],
)
def test_a_header_that_the_file_cannot_back_is_refused_before_anything_is_allocated(tmp_path, tags):
    forged(tmp_path / "a.tif", **tags)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError):
        read_micrograph(tmp_path / "a.tif")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_bomb_of_zeros_in_a_strip_is_not_inflated(tmp_path):
    bomb = zlib.compress(bytes(200_000_000), 1)
    tifffile.imwrite(
        tmp_path / "a.tif", iter([bomb]), shape=(60, 80), dtype="u1", compression="zlib"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = outcome(tmp_path / "a.tif")
    assert "damaged" in read if isinstance(read, str) else not read.image.any()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_loop_of_pages_is_not_followed(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(), metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    link = first + 2 + 12 * entries
    data[link : link + 4] = first.to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(data)
    assert np.array_equal(read_micrograph(tmp_path / "a.tif").image, noise())


KINDS = ("plain.tif", "tiles.tif", "zlib.tif", "gray.png", "gray.jpg")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    vendor = (34118, "s", 0, "\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2 nm\r\n", True)
    tifffile.imwrite(folder / "plain.tif", noise(24, 32), extratags=[vendor])
    tifffile.imwrite(folder / "tiles.tif", noise(24, 32), tile=(16, 16), compression="lzw")
    tifffile.imwrite(folder / "zlib.tif", noise(24, 32), compression="zlib", rowsperstrip=5)
    Image.fromarray(noise(24, 32)).save(folder / "gray.png")
    Image.fromarray(noise(24, 32)).save(folder / "gray.jpg")
    return {kind: (folder / kind).read_bytes() for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_anywhere_is_refused(originals, tmp_path, kind):
    whole = originals[kind]
    path = tmp_path / kind
    for length in range(0, len(whole) - 2, max(1, len(whole) // 150)):
        path.write_bytes(whole[:length])
        read = outcome(path)
        if isinstance(read, str):
            assert read.startswith(str(path))
            assert "\n" not in read
        else:  # only what follows the pixels was cut off
            path.write_bytes(whole)
            assert np.array_equal(read.image, read_micrograph(path).image)


@given(data=st.data())
@settings(max_examples=400, deadline=2000)
def test_a_file_with_flipped_bytes_is_refused_or_read(originals, tmp_path_factory, data):
    kind = data.draw(st.sampled_from(KINDS))
    spoiled = bytearray(originals[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"spoiled-{kind}"
    path.write_bytes(spoiled)
    read = outcome(path)
    if isinstance(read, str):
        assert read.startswith(str(path))
        assert "\n" not in read
    else:
        assert read.image.ndim == 2
        assert read.image.dtype in (np.uint8, np.uint16)
        assert read.pixel_size_nm is None or read.pixel_size_nm > 0


@pytest.mark.parametrize("pixel_size_nm", [2.5, None])
def test_more_labels_than_16_bits_hold_are_written_with_32(pixel_size_nm, tmp_path):
    labels = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    write_labels(tmp_path / "many.tif", labels, pixel_size_nm)
    read, size_nm = read_labels(tmp_path / "many.tif")
    np.testing.assert_array_equal(read, labels)
    assert size_nm == pytest.approx(pixel_size_nm) if pixel_size_nm else size_nm is None


def test_labels_far_above_the_number_of_pixels_are_refused_as_tables_of_them_would_be_large(
    tmp_path,
):
    for largest, possible in ((60_000, True), (65_536, False), (2**31 - 1, False)):
        write_labels(tmp_path / "a.tif", np.full((8, 8), largest, np.int32), None)
        if possible:
            assert read_labels(tmp_path / "a.tif")[0].max() == largest
        else:
            with pytest.raises(InputError, match="from 0 to 65535"):
                read_labels(tmp_path / "a.tif")
