import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from micrographs import noise
from peak_memory import peak_memory_bytes
from PIL import Image

from nanorender.errors import InputError
from nanorender.files.micrograph import read_micrograph
from nanorender.files.tiff import read_labels, write_labels


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


def test_png_jpeg_and_bmp_are_read(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    Image.fromarray(noise(dtype=np.uint16)).save(tmp_path / "b.png")
    Image.fromarray(noise()).save(tmp_path / "c.jpg", quality=98)
    assert np.array_equal(read_micrograph(tmp_path / "a.png").image, noise())
    assert np.array_equal(read_micrograph(tmp_path / "b.png").image, noise(dtype=np.uint16))
    Image.fromarray(noise()).save(tmp_path / "d.bmp")
    assert np.array_equal(read_micrograph(tmp_path / "d.bmp").image, noise())
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


def test_missing_files_folders_and_texts_are_refused(tmp_path):
    (tmp_path / "text.tif").write_text("This is no image.")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name, problem in [
        ("text.tif", "is not a TIFF, PNG, JPEG or BMP image"),
        ("empty.tif", "is not a TIFF, PNG, JPEG or BMP image"),
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
def test_header_contradicting_the_file_size_is_refused_before_allocation(tmp_path, tags):
    forged(tmp_path / "a.tif", **tags)
    before = peak_memory_bytes()
    with pytest.raises(InputError):
        read_micrograph(tmp_path / "a.tif")
    assert peak_memory_bytes() - before < 50 << 20


def test_a_bomb_of_zeros_in_a_strip_is_not_inflated(tmp_path):
    bomb = zlib.compress(bytes(200_000_000), 1)
    tifffile.imwrite(
        tmp_path / "a.tif", iter([bomb]), shape=(60, 80), dtype="u1", compression="zlib"
    )
    before = peak_memory_bytes()
    read = outcome(tmp_path / "a.tif")
    assert "damaged" in read if isinstance(read, str) else not read.image.any()
    assert peak_memory_bytes() - before < 100 << 20


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


def test_labels_far_above_the_number_of_pixels_are_refused(
    tmp_path,
):
    for largest, possible in ((60_000, True), (65_536, False), (2**31 - 1, False)):
        write_labels(tmp_path / "a.tif", np.full((8, 8), largest, np.int32), None)
        if possible:
            assert read_labels(tmp_path / "a.tif")[0].max() == largest
        else:
            with pytest.raises(InputError, match="from 0 to 65535"):
                read_labels(tmp_path / "a.tif")
