"""The command line, from recipe to report, on micrographs that the renderer made."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

import cli
from nanorender import __version__
from nanorender.files.checksums import file_sha256
from nanorender.files.segmentation import read_record
from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.models import general_model
from nanorender.recipe import read_recipe
from nanorender.rendering import render
from unet.adapt import OUTPUTS
from unet.presets import PRESETS

TRAINING = """
channels = [4, 8]
targets = ["foreground", "interior"]
patch_px = 64
batch = 2
steps_per_epoch = 4
epochs = 2
learning_rate = 3e-3
schedule = "one_cycle"
averaging = 0.5
"""


def nanorender(*arguments: object) -> subprocess.CompletedProcess:
    """Run the program in a process of its own."""
    command = [sys.executable, "-m", "cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A folder with a short training and a study's micrographs, annotations beside them."""
    root = tmp_path_factory.mktemp("study")
    (root / "training.toml").write_text(TRAINING)
    recipe = read_recipe("tio2").at_scale(7.0, 160)
    (root / "images").mkdir()
    for index in range(2):
        sample = render(recipe, 3, index)
        write_image(root / "images" / f"grid {index}.tif", sample.image, sample.pixel_size_nm)
        truth = root / "images" / f"grid {index}_truth.tif"
        write_labels(truth, sample.labels, sample.pixel_size_nm)
    return root


@pytest.fixture(scope="session")
def study(folder) -> tuple[Path, subprocess.CompletedProcess]:
    """The study that `run` makes of the folder, and its output."""
    out = folder / "study"
    done = nanorender(
        *("run", folder / "images", "--recipe", "tio2", "-o", out, "-n", 2, "--workers", 1),
        *("--preset", folder / "training.toml", "--truth", "_truth"),
    )
    assert done.returncode == 0, done.stderr
    return out, done


def test_help_loads_no_heavy_library():
    heavy = "jax", "numba", "pandas", "matplotlib", "skimage", "scipy", "numpy"
    code = f"import sys, cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_printed():
    done = nanorender("--version")
    assert (done.returncode, done.stdout) == (0, f"nanorender {__version__}\n")


def test_an_image_size_without_a_pixel_size_is_refused(tmp_path):
    done = nanorender("generate", "tio2", "--image-px", 64, "-o", tmp_path / "dataset")
    assert_one_clear_line(done)
    assert "--pixel-size-nm" in done.stderr
    assert not (tmp_path / "dataset").exists()


def test_every_command_has_an_example_in_its_help():
    for command in cli.app.registered_commands:
        name = command.callback.__name__.replace("_", "-")
        assert f"Example: nanorender {name}" in command.callback.__doc__


def test_run_writes_calibrated_label_maps(study, folder):
    out, _ = study
    for index in range(2):
        labels, pixel_size_nm = read_labels(out / "labels" / f"grid {index}.tif")
        assert labels.shape == (160, 160)
        _, true_size = read_labels(folder / "images" / f"grid {index}_truth.tif")
        assert pixel_size_nm == pytest.approx(true_size, rel=1e-4)
        assert tifffile.imread(out / "labels" / f"grid {index}.tif").dtype == np.uint16


def test_run_writes_one_row_per_particle(study):
    out, _ = study
    table = pd.read_csv(out / "particles.csv")
    maps = [read_labels(path)[0] for path in sorted((out / "labels").glob("*.tif"))]
    assert len(table) == sum(int(labels.max()) for labels in maps)
    assert {"image", "label", "area_nm2", "equivalent_diameter_nm"} <= set(table.columns)


def test_run_scores_against_the_truth(study):
    _, done = study
    assert "mean: pixel precision" in done.stdout
    assert "object F1@0.5" in done.stdout
    assert done.stdout.strip().endswith("index.html")


def test_run_writes_a_report_of_the_whole_study(study):
    out, _ = study
    summary = json.loads((out / "report" / "summary.json").read_text())
    assert [image["name"] for image in summary["images"]] == ["grid 0", "grid 1"]
    assert (out / "report" / "index.html").read_text().count("<svg") >= 2


def test_rerun_changes_no_file(study, folder):
    out, _ = study
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    nanorender(
        *("run", folder / "images", "--recipe", "tio2", "-o", out, "-n", 2, "--workers", 1),
        *("--preset", folder / "training.toml", "--truth", "_truth"),
    )
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert after.keys() == before.keys()
    assert [path.name for path in before if after[path] != before[path]] == []


def test_reproduced_report_has_identical_files(study):
    out, _ = study
    done = nanorender("reproduce", out / "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all files are identical" in done.stdout


def test_unreadable_micrograph_is_reported_and_others_are_segmented(study, folder, tmp_path):
    for name in ("a", "c"):
        (tmp_path / f"{name}.tif").write_bytes((folder / "images" / "grid 0.tif").read_bytes())
    (tmp_path / "b.tif").write_bytes(b"II*\0 torn")
    run = folder / "study" / "run"
    done = nanorender("segment", tmp_path, "--model", run, "-o", tmp_path / "labels")
    assert_one_clear_line(done)
    assert "1 of 3 micrographs failed" in done.stderr
    assert "failed: " in done.stderr
    assert sorted(path.stem for path in (tmp_path / "labels").glob("*.tif")) == ["a", "c"]


@pytest.mark.slow
def test_segmentation_on_a_cluster_equals_local_segmentation(study, folder, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is missing")
    run = folder / "study" / "run"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", local_directory=tmp_path / "s"
    ) as cluster:
        address = ("--scheduler", cluster.scheduler_address)
        done = nanorender(
            *("segment", folder / "images", "--model", run, "-o", tmp_path / "maps"), *address
        )
    assert done.returncode == 0, done.stderr
    for name in ("grid 0.tif", "grid 1.tif"):
        there, here = tmp_path / "maps" / name, folder / "study" / "labels" / name
        assert there.read_bytes() == here.read_bytes()


@pytest.fixture
def square(tmp_path) -> Path:
    """A folder with a micrograph of one particle."""
    image = np.full((96, 96), 40, np.uint8)
    image[30:60, 30:60] = 180
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "square.tif", image, 7.0)
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("option", "refusal"),
    [("--twins", "sizes are not corrected"), ("--adapt", "the model is not adapted")],
)
def test_a_refusal_keeps_the_report(square, tmp_path, option, refusal):
    out = tmp_path / "study"
    done = nanorender("run", square, option, "tio2", "-o", out)
    assert done.returncode == 2
    assert f"the report is written, but {refusal}: twins need at least 20 " in done.stderr
    assert "Corrected sizes" not in (out / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--adapt", "tio2", "--recipe", "tio2"), "exclude each other"),
        (("--adapt", "tio3"), "tio3"),
        (("--twins", "tio3"), "tio3"),
    ],
)
def test_wrong_recipes_are_refused_before_any_work(square, tmp_path, options, line):
    done = nanorender("run", square, *options, "-o", tmp_path / "study")
    assert (done.returncode, line in done.stderr) == (2, True)
    assert not (tmp_path / "study").exists()


def test_a_study_by_an_adapted_model(tmp_path, monkeypatch, capsys):
    quick = {"steps_per_epoch": 2, "patch_px": 64, "batch": 2}
    monkeypatch.setitem(PRESETS, "adapt", PRESETS["adapt"].model_copy(update=quick))
    monkeypatch.setattr("unet.adapt.is_better", lambda *_: True)
    recipe = read_recipe("facets").at_scale(3.0, 256)
    (tmp_path / "images").mkdir()
    for index in range(2):
        sample = render(recipe, 5, index)
        write_image(tmp_path / "images" / f"{index}.tif", sample.image, sample.pixel_size_nm)
    out = tmp_path / "study"
    cli.run(tmp_path / "images", out, adapt_recipe="facets", min_confidence=0.5)
    printed = capsys.readouterr().out
    assert re.search(
        r"F1 of 12 twins 0\.\d+ before, 0\.\d+ adapted; .* the adapted model is kept", printed
    )
    adapted = out / "adapted"
    assert {path.name for path in adapted.iterdir()} == OUTPUTS
    before, after = (read_record(folder / "labels" / "0.tif") for folder in (adapted, out))
    assert before.min_confidence == after.min_confidence == 0.5
    assert before.model_sha256 == file_sha256(general_model())
    assert after.model_sha256 == file_sha256(adapted / "model.safetensors")
    assert (out / "report" / "index.html").is_file()


@pytest.mark.slow
def test_twins_correct_a_study_and_are_reproduced(tmp_path):
    recipe = read_recipe("tio2").at_scale(7.0, 512)
    (tmp_path / "images").mkdir()
    for index in range(3):
        sample = render(recipe, 5, index)
        write_image(tmp_path / "images" / f"{index}.tif", sample.image, sample.pixel_size_nm)
    out = tmp_path / "study"
    done = nanorender("run", tmp_path / "images", "--twins", "tio2", "-o", out)
    assert done.returncode == 0, done.stderr
    assert "median, D50, nm" in done.stdout
    table = pd.read_csv(out / "twins" / "corrections.csv").set_index("statistic")
    assert (table["low"] < table["corrected"]).all()
    assert (table["corrected"] < table["high"]).all()
    assert "Corrected median" in (out / "report" / "index.html").read_text(encoding="utf-8")
    done = nanorender("reproduce", out / "twins")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("part", ["dataset", "run", "labels", "."])
def test_reproduced_study_folders_have_identical_files(study, part):
    out, _ = study
    done = nanorender("reproduce", out / part)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_repeatedly_killed_run_gives_the_same_files(study, folder, tmp_path):
    whole, _ = study
    arguments = ("run", folder / "images", "-o", tmp_path / "study", "-n", 2, "--workers", 1)
    options = (
        "--recipe",
        "tio2",
        "--preset",
        folder / "training.toml",
        "--truth",
        "_truth",
    )
    command = [sys.executable, "-m", "cli", *map(str, arguments + options)]
    for seconds in (4, 6, 8, 10, 12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    done = nanorender(*arguments, *options)
    assert done.returncode == 0, done.stderr
    same = ["dataset/*/*", "run/model.safetensors", "run/epochs/*", "labels/*.*i*", "particles.csv"]
    for path in (path for pattern in same for path in whole.glob(pattern)):
        assert path.read_bytes() == (tmp_path / "study" / path.relative_to(whole)).read_bytes()
    pages = [folder / "report" / "particles.csv" for folder in (whole, tmp_path / "study")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_annotations_are_recognized_without_an_option(study, folder):
    done = nanorender(
        *("segment", folder / "images", "--model", folder / "study" / "run"),
        *("-o", folder / "unnamed"),
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.stem for path in (folder / "unnamed").glob("*.tif")) == ["grid 0", "grid 1"]
    assert "--truth" in done.stderr


def test_image_of_unknown_pixel_size_is_segmented_in_pixels_on_request(study, folder, tmp_path):
    image = tifffile.imread(folder / "images" / "grid 0.tif")
    run, bare = folder / "study" / "run", tmp_path / "bare.tif"
    tifffile.imwrite(bare, image)
    asked = nanorender("segment", bare, "--model", run, "-o", tmp_path / "labels")
    assert asked.returncode == 2
    assert "--pixel-size-nm" in asked.stderr
    assert "--pixels" in asked.stderr
    done = nanorender("segment", bare, "--model", run, "-o", tmp_path / "labels", "--pixels")
    assert done.returncode == 0, done.stderr
    done = nanorender("measure", tmp_path / "labels", "-o", tmp_path / "particles.csv")
    assert done.returncode == 0, done.stderr
    assert "area_px2" in pd.read_csv(tmp_path / "particles.csv").columns


def test_a_run_folder_of_another_architecture_is_refused(study, folder, tmp_path):
    out, _ = study
    other = tmp_path / "wider.toml"
    other.write_text(TRAINING.replace("[4, 8]", "[8, 16]"))
    done = nanorender("train", out / "dataset", "-o", out / "run", "--preset", other)
    assert_one_clear_line(done)


@pytest.mark.parametrize("name", ["missing", "empty", "text", "truncated", "color"])
def test_bad_images_give_one_clear_line(name, folder, tmp_path):
    path = tmp_path / f"{name}.tif"
    if name == "empty":
        path = tmp_path
    elif name == "text":
        path.write_text("not an image")
    elif name == "truncated":
        path.write_bytes((folder / "images" / "grid 0.tif").read_bytes()[:2000])
    elif name == "color":
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        tifffile.imwrite(path, noise, photometric="rgb")
    done = nanorender("run", path, "-o", tmp_path / "study", "--pixels")
    assert_one_clear_line(done)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("description", "descriptions"), "descriptions"),
        (("median = 255.0", "median = -255.0"), "median"),
        (('material = "oxide"', 'material = "iron"'), "iron"),
        (('"grain_0"', '"grain_x"'), "grain_x"),
    ],
)
def test_bad_recipes_give_one_clear_line(change, said, tmp_path):
    from importlib import resources

    text = (resources.files("nanorender") / "recipes" / "tio2.toml").read_text()
    assert change[0] in text
    (tmp_path / "mine.toml").write_text(text.replace(*change))
    done = nanorender("generate", tmp_path / "mine.toml", "-o", tmp_path / "dataset", "-n", 1)
    assert_one_clear_line(done)
    assert said in done.stderr
    assert not (tmp_path / "dataset").exists()


def test_unknown_preset_lists_the_known_presets(tmp_path):
    done = nanorender("generate", "tio3", "-o", tmp_path / "dataset", "-n", 1)
    assert_one_clear_line(done)
    assert "ag, facets, gold, layers, magnetite, nanocrystals, powder, sio2, tio2" in done.stderr


def test_preview_draws_a_contact_sheet(tmp_path):
    done = nanorender("preview", "tio2", "-n", 1, "-o", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(36, "File name too long", "x" * 5000), "File name too long"),
        (PermissionError(13, "Permission denied", "a\nb"), r"a\nb: Permission denied"),
        (MemoryError(), "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9"), "out of memory"),
    ],
)
def test_system_errors_give_one_line(raised, said, monkeypatch, capsys):
    def refuse():
        raise raised

    monkeypatch.setattr(cli, "app", refuse)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nanorender: ")
    assert said in line


def test_internal_error_keeps_its_traceback(monkeypatch):
    def fail():
        raise RuntimeError("a mistake")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(RuntimeError, match="a mistake"):
        cli.main()


def assert_one_clear_line(done: subprocess.CompletedProcess) -> None:
    lines = [line for line in done.stderr.splitlines() if line.startswith("nanorender: ")]
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr


def test_run_needs_neither_recipe_nor_training(folder, tmp_path):
    done = nanorender("run", folder / "images", "--truth", "_truth", "--once", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("command.toml", "labels", "particles.csv", "report")
    ]
    table = pd.read_csv(tmp_path / "particles.csv")
    assert set(table["image"]) == {"grid 0", "grid 1"}
    assert table["confidence"].between(0, 1).all()
    record = json.loads((tmp_path / "labels" / "grid 0.json").read_text())
    assert table["confidence"].min() >= record["min_confidence"] > 0


def test_a_model_and_a_recipe_exclude_each_other(folder, tmp_path):
    done = nanorender(
        *("run", folder / "images", "-o", tmp_path / "study"),
        *("--model", folder / "study" / "run", "--recipe", "tio2"),
    )
    assert_one_clear_line(done)
    assert not (tmp_path / "study").exists()


def test_the_doctor_names_the_general_model():
    done = nanorender("doctor")
    assert done.returncode == 0, done.stderr
    assert "general, " in done.stdout
    assert "million weights" in done.stdout
