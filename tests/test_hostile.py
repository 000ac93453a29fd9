"""Every reader on damaged and forged files: valid content or an error of one line."""

import io
import json
import os
import struct
import subprocess
import sys
import tomllib
import zipfile
import zlib
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import tomli_w
from hostile import EXTREMES, outcome, spoiled, spoiled_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nanorender.files.annotation import read_truth
from nanorender.files.collection import Reading, read_collection
from nanorender.files.corrections import correct_label_maps
from nanorender.files.dataset import create_dataset, open_dataset, read_truth_table, write_sample
from nanorender.files.imagefolder import find_micrographs
from nanorender.files.labeled import read_sample
from nanorender.files.micrograph import read_micrograph
from nanorender.files.microscopes import read_header, read_sidecars
from nanorender.files.segmentation import SegmentationRecord, read_record, write_segmentation
from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.files.verify import verify
from nanorender.provenance.record import read_command_record as read_command
from nanorender.recipe import Recipe, read_recipe
from nanorender.report.rois import write_rois
from unet.checkpoint import read_checkpoint, read_model, write_checkpoint, write_model
from unet.model import initial_weights
from unet.presets import PRESETS, TrainSettings
from unet.run_folder import read_log
from unet.validation import ValidationImage, read_prediction

GRAY = np.random.default_rng(3).integers(0, 256, (24, 32), np.uint8)
LABELS = np.kron(np.arange(1, 7).reshape(2, 3), np.ones((8, 10), np.int32)).astype(np.int32)
ZEISS = "\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2 nm\r\n"
SEM_HEADERS = {
    "zeiss.tif": (34118, "s", ZEISS),
    "orion.tif": (65000, "s", "<ImageTags><ScalingX><Value>2</Value><Units>nm</Units></ScalingX>"),
    "fibics.tif": (51023, "s", "<Fibics><Scan><Ux>0.002</Ux><Uy>0</Uy></Scan></Fibics>"),
    "fei.tif": (34682, "s", "[Scan]\nPixelWidth=2e-9\n[Image]\nResolutionX=32\nResolutionY=20\n"),
    "thermo.tif": (34683, "s", "<M><PixelSize><X unit='m'>2E-9</X></PixelSize></M>"),
    "tescan.tif": (50431, "B", b"\x99\x15\x00ImageStripSize=4\nPixelSizeX=2e-9\n\x00"),
}
SIDECARS = {
    "hitachi": "[SemImageFile]\r\nInstructName=SU8000\r\nPixelSize=24.8\r\n",
    "jeol": "$CM_MAG 5000\r\n$$SM_MICRON_BAR 100\r\n$$SM_MICRON_MARKER 500nm\r\n",
    "tescan": "[MAIN]\nImageStripSize=4\nPixelSizeX=2e-9\n",
}
RECIPES = [read_recipe(name).to_toml() for name in ("ag", "sio2", "tio2")]
TRAININGS = [preset.to_toml() for preset in PRESETS.values()]
often = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, bytes]:
    """Small image files of every supported format, by name."""
    folder = tmp_path_factory.mktemp("originals")
    for name, (code, kind, value) in SEM_HEADERS.items():
        tag = (code, kind, 0, value, True)
        tifffile.imwrite(folder / name, GRAY, extratags=[tag], metadata=None)
    write_image(folder / "imagej.tif", GRAY, 2.5)
    write_labels(folder / "labels.tif", LABELS, 2.5)
    tifffile.imwrite(folder / "ome.ome.tif", GRAY, metadata={"axes": "YX", "PhysicalSizeX": 0.01})
    tifffile.imwrite(folder / "big.tif", GRAY, bigtiff=True, byteorder=">")
    tifffile.imwrite(folder / "float.tif", GRAY.astype(np.float32))
    tifffile.imwrite(folder / "rgb.tif", np.dstack([GRAY] * 3), photometric="rgb")
    for compression in ("lzw", "zlib", "zstd", "packbits", "jpeg"):
        path = folder / f"{compression}.tif"
        tifffile.imwrite(path, GRAY, compression=compression, tile=(16, 16))
    for name in ("gray.png", "gray.jpg"):
        Image.fromarray(GRAY).save(folder / name)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_image(path: Path) -> None:
    """Read an image as a micrograph, a label map and an annotation."""
    outcome(read_labels, path)
    outcome(partial(read_truth, micrograph=MICROGRAPH), path)
    read = outcome(read_micrograph, path)
    if not isinstance(read, str):
        assert read.image.ndim == 2
        assert read.image.dtype in (np.uint8, np.uint16)


@pytest.fixture(scope="module", autouse=True)
def _micrograph(tmp_path_factory):
    global MICROGRAPH
    path = tmp_path_factory.mktemp("sound") / "a.tif"
    write_image(path, GRAY, 2.5)
    MICROGRAPH = read_micrograph(path)


@given(data=st.data())
@often
def test_spoiled_images_are_read_or_refused_in_one_line(images, tmp_path, data):
    name = data.draw(st.sampled_from(sorted(images)))
    path = tmp_path / f"spoiled{Path(name).suffix}"
    path.write_bytes(data.draw(spoiled(images[name])))
    read_image(path)


@pytest.mark.slow
@given(data=st.data())
@settings(often, max_examples=20_000)
def test_many_spoiled_images_are_read_or_refused_in_one_line(images, tmp_path, data):
    name = data.draw(st.sampled_from(sorted(images)))
    path = tmp_path / f"spoiled{Path(name).suffix}"
    path.write_bytes(data.draw(spoiled(images[name])))
    read_image(path)


def entries(data: bytes) -> range:
    """Offsets of the 12-byte entries in the first directory of a classic little-endian TIFF."""
    first = int.from_bytes(data[4:8], "little") + 2
    return range(first, first + 12 * int.from_bytes(data[first - 2 : first], "little"), 12)


@pytest.mark.parametrize("name", ["zeiss.tif", "imagej.tif", "labels.tif", "zlib.tif", "jpeg.tif"])
def test_a_tiff_cut_off_in_every_tag_or_with_its_type_count_or_value_forged(images, tmp_path, name):
    whole = images[name]
    path = tmp_path / "forged.tif"
    for entry in entries(whole):
        for length in range(entry, entry + 12, 3):
            path.write_bytes(whole[:length])
            read_image(path)
        for offset, size in ((2, 2), (4, 4), (8, 4)):
            for extreme in EXTREMES:
                forged = bytearray(whole)
                value = (extreme % 2 ** (8 * size)).to_bytes(size, "little")
                forged[entry + offset : entry + offset + size] = value
                path.write_bytes(forged)
                read_image(path)


@given(text=st.sampled_from(sorted(SIDECARS)).flatmap(lambda name: spoiled_text(SIDECARS[name])))
@often
def test_damaged_sidecars_affect_at_most_the_pixel_size(tmp_path, text):
    write_image(tmp_path / "a.tif", GRAY, None)
    (tmp_path / "a.txt").write_bytes(text)
    read = read_micrograph(tmp_path / "a.tif")
    assert np.array_equal(read.image, GRAY[: read.image.shape[0]])
    assert read.pixel_size_nm is None or 1e-3 <= read.pixel_size_nm <= 1e5
    assert read_sidecars(tmp_path / "a.tif", 24) is None or read.pixel_size_nm is not None


@given(data=st.data())
@often
def test_damaged_vendor_headers_affect_at_most_the_pixel_size(tmp_path, data):
    name = data.draw(st.sampled_from(sorted(SEM_HEADERS)))
    code, _, text = SEM_HEADERS[name]
    text = text if isinstance(text, str) else text.decode("latin-1")
    value = data.draw(spoiled_text(text)) or b"\0"
    tag = (code, "B", 0, value, True)
    tifffile.imwrite(tmp_path / "a.tif", GRAY, extratags=[tag], metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        header = read_header(tmp_path / "a.tif", tif, 24)
    assert header.pixel_size_nm is None or 1e-3 <= header.pixel_size_nm <= 1e5
    assert header.image_rows is None or 0 < header.image_rows < 24


@given(text=st.sampled_from(RECIPES).flatmap(spoiled_text))
@often
def test_spoiled_recipes_are_read_or_refused_in_one_line(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_bytes(text)
    read = outcome(Recipe.read, path)
    assert isinstance(read, str | Recipe)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("particle_count", 1e9),
            ("particle_count", -1),
            ("field_nm", 10.0),
            ("field_nm", 1e-300),
        ),
        *(("camera.image_px", 0), ("camera.image_px", 10**9), ("camera.render_px", 16384)),
        *(("camera.pixel_size_nm", 0), ("camera.pixel_size_nm", -1), ("camera.tilt_deg", "nan")),
        *(("particles", []), ("materials", {}), ("no_such_key", 1)),
    ],
)
def test_absurd_and_contradictory_recipes_are_refused_in_one_line(key, value, tmp_path):
    recipe = tomllib.loads(RECIPES[1])
    *groups, name = key.split(".")
    inner = recipe
    for group in groups:
        inner = inner[group]
    inner[name] = value
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(recipe))
    line = outcome(Recipe.read, tmp_path / "mine.toml")
    assert isinstance(line, str)
    assert line.startswith(str(tmp_path / "mine.toml"))


@given(text=st.sampled_from(TRAININGS).flatmap(spoiled_text))
@often
def test_spoiled_training_settings_are_read_or_refused_in_one_line(tmp_path, text):
    (tmp_path / "mine.toml").write_bytes(text)
    assert isinstance(outcome(TrainSettings.read, tmp_path / "mine.toml"), str | TrainSettings)


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A dataset of one sample."""
    folder = tmp_path / "dataset"
    create_dataset(folder, "squares", "a = 1\n", 7, 1)
    truth = {"label": np.arange(1, 7), "visible_area_nm2": np.full(6, 80 * 6.25)}
    write_sample(folder, 0, np.resize(GRAY, LABELS.shape), LABELS, truth, 2.5)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("dataset.json", "recipe.toml", "sums/000000.sha256", "truth/000000.csv"),
        *("images/000000.tif", "labels/000000.tif"),
    ],
)
@given(data=st.data())
@settings(often, max_examples=30)
def test_damaged_dataset_is_refused_or_detected(dataset, name, data):
    path = dataset / name
    whole = path.read_bytes()
    text = path.suffix != ".tif"
    try:
        path.write_bytes(data.draw(spoiled_text(whole.decode()) if text else spoiled(whole)))
        spoiled_now = path.read_bytes() != whole
        for read in (
            open_dataset,
            partial(read_sample, index=0),
            partial(read_truth_table, index=0),
        ):
            outcome(read, dataset)
        found = outcome(verify, dataset)
        if spoiled_now and name not in ("dataset.json", "sums/000000.sha256"):
            assert isinstance(found, str) or found.problems
    finally:
        path.write_bytes(whole)


def test_names_outside_a_dataset_are_not_followed(dataset):
    sums = dataset / "sums" / "000000.sha256"
    sums.write_text(sums.read_text() + "0" * 64 + "  ../../../../../../../etc/passwd\n")
    assert any("lies outside the dataset" in line for line in verify(dataset).problems)


@given(data=st.data())
@often
def test_spoiled_records_of_segmentations_are_read_or_refused(tmp_path, data):
    record = SegmentationRecord(
        image=tmp_path / "a.tif",
        image_sha256="0" * 64,
        crop=(0, 24, 0, 32),
        pixel_size_nm=2.5,
        pixel_size_source="given by the user",
        model_sha256="0" * 64,
        training_pixel_sizes_nm=(1.0, 3.0),
        separation={"threshold": 0.5},
        version="0",
    )
    path = write_segmentation(tmp_path / "labels", LABELS, record)
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_bytes(data.draw(spoiled_text(text)))
    read = outcome(read_record, path)
    if isinstance(read, SegmentationRecord):
        outcome(lambda _: read.read_micrograph(), path)


@given(text=spoiled_text('format = 1\n[[steps]]\ncommand = "x"\n[steps.settings]\na = 1\n'))
@often
def test_spoiled_records_of_commands_are_read_or_refused(tmp_path, text):
    (tmp_path / "command.toml").write_bytes(text)
    outcome(read_command, tmp_path)


@given(text=spoiled_text('{"epoch": 1, "loss": {"foreground": 0.5}}\n{"epoch": 2}\n'))
@often
def test_spoiled_logs_of_a_training_are_read_or_refused(tmp_path, text):
    (tmp_path / "log.jsonl").write_bytes(text)
    outcome(read_log, tmp_path)


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> dict[str, bytes]:
    """Files of drawn particles, by name."""
    folder = tmp_path_factory.mktemp("drawings")
    write_rois(folder / "a.zip", LABELS)
    write_rois(folder / "holes.zip", np.where(GRAY > 240, 0, 1))
    with zipfile.ZipFile(folder / "holes.zip") as archive:
        (folder / "a.roi").write_bytes(archive.read(archive.namelist()[0]))
    shape = {"shape_type": "circle", "points": [[8.0, 9.0], [4.0, 3.0]], "group_id": 1}
    text = json.dumps({"imageHeight": 24, "imageWidth": 32, "shapes": [shape, shape]})
    (folder / "labelme.json").write_text(text)
    polygon, runs = [[1.0, 1.0, 8.0, 2.0, 5.0, 9.0]], {"size": [24, 32], "counts": [5, 6]}
    image = {"id": 1, "file_name": "a.png", "height": 24, "width": 32}
    notes = [{"id": 1, "image_id": 1, "segmentation": each} for each in (polygon, runs)]
    (folder / "coco.json").write_text(json.dumps({"images": [image], "annotations": notes}))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@given(data=st.data())
@settings(often, max_examples=150)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_spoiled_drawings_are_read_or_refused_in_one_line(drawings, tmp_path, data):
    name = data.draw(st.sampled_from(sorted(drawings)))
    whole, path = drawings[name], tmp_path / f"a{Path(name).suffix}"
    text = path.suffix == ".json"
    path.write_bytes(data.draw(spoiled_text(whole.decode()) if text else spoiled(whole)))
    (tmp_path / "image.tif").unlink(missing_ok=True)
    write_image(tmp_path / "image.tif", GRAY, 2.5)
    (tmp_path / "out").mkdir(exist_ok=True)
    found = outcome(
        lambda drawn: correct_label_maps(tmp_path / "image.tif", drawn, tmp_path / "out"), path
    )
    for line in found.failures if not isinstance(found, str) else ():
        assert "\n" not in line


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> bytes:
    """A small model file."""
    from unet.checkpoint import ModelCard
    from unet.data import PixelSizes

    training = PRESETS["cpu"].model_copy(update={"channels": (3, 4), "block_px": 1})
    sizes = PixelSizes(lowest_nm=5, median_nm=6, highest_nm=7)
    card = ModelCard(training=training, pixel_sizes=sizes, dataset_sha256="0", epoch=1, version="0")
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(path, card, initial_weights(training.architecture, np.random.default_rng(0)))
    return path.read_bytes()


@given(data=st.data())
@settings(often, max_examples=100)
def test_spoiled_model_files_are_read_or_refused(model, tmp_path, data):
    path = tmp_path / "model.safetensors"
    header = 8 + int.from_bytes(model[:8], "little")
    way = data.draw(st.sampled_from(("anywhere", "header")))
    if way == "anywhere":
        path.write_bytes(data.draw(spoiled(model)))
    else:
        text = data.draw(spoiled_text(model[8:header].decode()))
        path.write_bytes(len(text).to_bytes(8, "little") + text + model[header:])
    outcome(read_model, path)


@given(data=st.data())
@often
@pytest.mark.filterwarnings("ignore:.*is damaged.*resuming from the previous checkpoint")
def test_damaged_checkpoints_are_skipped_or_refused(tmp_path, data):
    state = {"step": np.int32(2), "weights": np.zeros((2, 3), np.float32)}
    for _ in range(2):
        write_checkpoint(tmp_path, state, "same")
    path = tmp_path / "last.safetensors"
    path.write_bytes(data.draw(spoiled(path.read_bytes())))
    read = outcome(lambda folder: read_checkpoint(folder, state, "same"), tmp_path)
    assert isinstance(read, str) or int(read["step"]) >= 0


@given(data=st.data())
@often
def test_spoiled_predictions_of_a_run_are_read_or_refused(tmp_path, data):
    path = tmp_path / "validation" / "0001" / "a.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = np.stack([GRAY, GRAY])
    tifffile.imwrite(path, pages, photometric="minisblack", compression="zlib")
    path.write_bytes(data.draw(spoiled(path.read_bytes())))
    targets = ("foreground", "interior")
    image = ValidationImage("a", GRAY, None)
    read = outcome(lambda run: read_prediction(run, 1, image, targets), tmp_path)
    assert isinstance(read, str) or set(read) == set(targets)


@pytest.mark.parametrize("channels", [[10**9, 10**9], [1] * 5000, [0, 1], [-4, 8], ["a"]])
def test_a_model_file_that_names_an_absurd_architecture_allocates_nothing(
    model, tmp_path, channels
):
    size = int.from_bytes(model[:8], "little")
    header = json.loads(model[8 : 8 + size])
    card = json.loads(header["__metadata__"]["nanorender"])
    card["training"]["channels"] = channels
    header["__metadata__"]["nanorender"] = json.dumps(card)
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + model[8 + size :])
    assert isinstance(outcome(read_model, path), str)


@pytest.mark.parametrize("shape", [(1, 1), (15, 15), (1, 10_000), (10_000, 1)])
@pytest.mark.parametrize("name", ["with space", "\u00fcn\u00efc\u00f6de \u7c92\u5b50", "n" * 200])
def test_odd_images_of_odd_names_make_a_collection(tmp_path, shape, name):
    write_image(tmp_path / f"{name}.tif", np.resize(GRAY, shape), 2.5)
    (found,) = find_micrographs(tmp_path).images
    (micrograph,) = read_collection(found, Reading())
    assert micrograph.image.shape == shape
    assert micrograph.name == name


def test_entries_other_than_files_are_not_micrographs(tmp_path):
    write_image(tmp_path / "real.tif", GRAY, 2.5)
    os.mkfifo(tmp_path / "pipe.tif")  # reading it would block forever
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    (tmp_path / "folder.tif").mkdir()
    assert [path.name for path in find_micrographs(tmp_path).images] == ["real.tif"]


def test_a_name_that_is_not_utf8_is_refused_in_one_line(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.tif")
    write_image(tmp_path / "real.tif", GRAY, 2.5)
    (tmp_path / "real.tif").rename(path)
    assert "has a name that is not UTF-8; rename it" in outcome(read_micrograph, path)


BOUNDED = """
import resource, sys
from pathlib import Path
from nanorender.errors import InputError
from nanorender.files.micrograph import read_micrograph
import imagecodecs, tifffile
read_micrograph(Path(sys.argv[1]))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20,) * 2)
for path in sorted(Path(sys.argv[2]).iterdir()):
    try:
        print(path.name, "read", read_micrograph(path).image.shape)
    except InputError as error:
        print(path.name, "refused", str(error).count("\\n"), "memory" in str(error).lower())
"""


def test_bombs_and_absurd_sizes_need_no_memory(images, tmp_path):
    """Allow 64 MiB more address space than a valid image needs."""
    sound, bombs = tmp_path / "sound.tif", tmp_path / "bombs"
    bombs.mkdir()
    write_image(sound, GRAY, 1.0)
    zeros = bytes(100_000_000)
    streams = {
        8: zlib.compress(zeros, 1),
        32946: zlib.compress(zeros, 1),
        50000: imagecodecs.zstd_encode(zeros),
        5: imagecodecs.lzw_encode(zeros),
        32773: b"\x81\0" * 1_000_000,
    }
    large = io.BytesIO()
    Image.new("L", (12_000, 12_000)).save(large, "JPEG")
    streams |= dict.fromkeys((6, 7, 33007), large.getvalue())
    streams |= dict.fromkeys((34925, 34712, 34933, 50001, 50002, 34887), streams[50000])
    for code, stream in streams.items():
        path = bombs / f"{code}.tif"
        tifffile.imwrite(
            path, iter([stream]), shape=(24, 32), dtype="u1", compression="zlib", rowsperstrip=24
        )
        with tifffile.TiffFile(path, mode="r+b") as tif:
            tif.pages.first.tags["Compression"].overwrite(code)
    for width, height in ((10**6, 10**6), (2**31 - 1, 1), (10**6, 300)):
        path = bombs / f"{width}x{height}.tif"
        tifffile.imwrite(path, GRAY, metadata=None)
        with tifffile.TiffFile(path, mode="r+b") as tif:
            tif.pages.first.tags["ImageWidth"].overwrite(width)
            tif.pages.first.tags["ImageLength"].overwrite(height)
    png = bytearray(images["gray.png"])
    png[16:24] = struct.pack(">II", 10**6, 10**6)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    (bombs / "large.png").write_bytes(png)
    jpeg = bytearray(images["gray.jpg"])
    at = jpeg.index(b"\xff\xc0")  # start of frame: length, bits, height, width
    jpeg[at + 5 : at + 9] = b"\xff\xff" * 2
    (bombs / "large.jpg").write_bytes(jpeg)
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, sound, bombs], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(list(bombs.iterdir()))
    assert [line for line in lines if line.endswith("True") or "refused 1" in line] == []
