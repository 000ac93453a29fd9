import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from nanorender.errors import InputError
from nanorender.files.dataset import (
    complete_samples,
    create_dataset,
    open_dataset,
    read_truth_table,
    sample_paths,
    write_sample,
)
from nanorender.files.labeled import read_sample
from nanorender.files.verify import verify

RECIPE = "field_nm = 1000\n\n[camera]\ntilt_deg = 0\n\n[[particles]]\nmaterial = 'silica'\n"
PIXEL_SIZE_NM = 2.5


def sample(index):
    """An image of two squares, its labels and its truth table."""
    rng = np.random.default_rng(index)
    labels = np.zeros((40, 50), np.int32)
    labels[5:15, 5:15], labels[20:26, 30:40] = 1, 2
    truth = {
        "label": np.array([1, 2]),
        "visible_area_nm2": np.array([100, 60]) * PIXEL_SIZE_NM**2,
        "touches_frame": np.array([False, True]),
        "diameter_nm": rng.random(2) / 3,
    }
    return rng.integers(0, 256, (40, 50), dtype=np.uint8), labels, truth


@pytest.fixture
def folder(tmp_path):
    """A dataset of three samples."""
    made = tmp_path / "set"
    create_dataset(made, "squares", RECIPE, 7, 3)
    for index in range(3):
        write_sample(made, index, *sample(index), PIXEL_SIZE_NM)
    return made


def test_samples_come_back_as_they_were_written(folder):
    assert complete_samples(folder) == [0, 1, 2]
    for index in range(3):
        image, labels, pixel_size_nm, path = read_sample(folder, index)
        expected_image, expected_labels, truth = sample(index)
        assert np.array_equal(image, expected_image)
        assert np.array_equal(labels, expected_labels)
        assert pixel_size_nm == PIXEL_SIZE_NM
        assert path == folder / "images" / f"{index:06d}.tif"
        table = read_truth_table(folder, index)
        assert list(table) == list(truth)
        assert all(np.array_equal(table[name], truth[name]) for name in truth)


def test_an_image_with_a_black_foot_is_not_cropped_as_if_it_had_an_info_bar(tmp_path):
    create_dataset(tmp_path / "set", "squares", RECIPE, 7, 1)
    image, labels, truth = sample(0)
    image[34:] = 0
    image[36:38, ::2] = 255
    write_sample(tmp_path / "set", 0, image, labels, truth, PIXEL_SIZE_NM)
    assert np.array_equal(read_sample(tmp_path / "set", 0)[0], image)


@given(
    st.lists(
        st.tuples(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)),
        max_size=5,
    )
)
@settings(max_examples=50, deadline=None)
def test_truth_tables_keep_every_digit(tmp_path_factory, rows):
    made = tmp_path_factory.mktemp("digits") / "set"
    create_dataset(made, "digits", RECIPE, 7, 1)
    truth = {
        "label": np.array([row[0] for row in rows], dtype=np.int64),
        "value": np.array([row[1] for row in rows], dtype=np.float64),
    }
    write_sample(made, 0, *sample(0)[:2], truth, PIXEL_SIZE_NM)
    table = read_truth_table(made, 0)
    assert all(np.array_equal(table[name], truth[name]) for name in truth)


def test_folder_is_readable_by_other_programs(folder):
    info = json.loads((folder / "dataset.json").read_text())
    assert (info["name"], info["seed"], info["count"]) == ("squares", 7, 3)
    assert info["recipe_sha256"] == hashlib.sha256(RECIPE.encode()).hexdigest()
    assert (folder / "recipe.toml").read_text() == RECIPE
    assert np.array_equal(tifffile.imread(folder / "labels" / "000001.tif"), sample(1)[1])
    checked = subprocess.run(
        ["sha256sum", "-c", *(folder / "sums").iterdir()], cwd=folder, capture_output=True
    )
    assert checked.returncode == 0


@pytest.mark.parametrize("kind", ["labels", "truth", "image", "sums"])
def test_interrupted_sample_is_incomplete(folder, kind, monkeypatch):
    class PowerFailureError(Exception):
        """Ends the writing."""

    replace = os.replace

    def fail(source, target):
        if str(target) == str(getattr(sample_paths(folder, 3), kind)):
            raise PowerFailureError
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PowerFailureError):
        write_sample(folder, 3, *sample(3), PIXEL_SIZE_NM)
    assert complete_samples(folder) == [0, 1, 2]


def test_dataset_of_equal_recipe_and_seed_is_continued_and_extended(folder):
    before = (folder / "dataset.json").read_bytes()
    create_dataset(folder, "squares", RECIPE, 7, 2)
    assert (folder / "dataset.json").read_bytes() == before
    create_dataset(folder, "squares", RECIPE, 7, 9)
    assert open_dataset(folder).count == 9
    assert complete_samples(folder) == [0, 1, 2]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("tilt_deg = 0", "tilt_deg = 5", r"'camera\.tilt_deg' was 0, got 5;"),
        ("tilt_deg = 0", "", r"'camera\.tilt_deg' was 0, got absent;"),
        ("'silica'", "'silver'", r"'particles\[0\]\.material' was silica, got silver;"),
        ("tilt_deg = 0", "tilt_deg = 5\nx = 1", r"was 0, got 5 \(and 1 more\)"),
        ("tilt_deg = 0", "tilt_deg = 0 # flat", "the text of recipe"),
    ],
)
def test_another_recipe_is_refused_with_the_difference_shown(folder, old, new, shown):
    with pytest.raises(InputError, match=shown):
        create_dataset(folder, "squares", RECIPE.replace(old, new), 7, 3)
    assert (folder / "recipe.toml").read_text() == RECIPE


def test_another_seed_is_refused_with_both_shown(folder):
    with pytest.raises(InputError, match="seed 7, got 8"):
        create_dataset(folder, "squares", RECIPE, 8, 3)


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_text("precious")
    with pytest.raises(InputError, match=r"thesis\.docx but no dataset"):
        create_dataset(tmp_path, "squares", RECIPE, 7, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_interrupted_creation_is_resumed(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "recipe.toml").write_text("torn")
    create_dataset(tmp_path, "squares", RECIPE, 7, 3)
    assert (tmp_path / "recipe.toml").read_text() == RECIPE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "is not a dataset"),
        ("{", "damaged or of another version"),
        ('{"format": 2, "name": "", "seed": 0, "count": 1}', "of another version"),
        ("[1, 2]", "damaged"),
        ("\0\0\0\0", "damaged"),
    ],
)
def test_folder_without_dataset_is_refused(tmp_path, text, problem):
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=problem):
        complete_samples(tmp_path)


def test_unwritable_path_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/set cannot be written: Not a directory"):
        create_dataset(tmp_path / "file" / "set", "squares", RECIPE, 7, 3)


@pytest.mark.skipif(
    getattr(os, "geteuid", lambda: 0)() == 0, reason="the superuser may write to any folder"
)
def test_a_read_only_folder_is_refused_in_one_line(folder):
    (folder / "images").chmod(0o500)
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        write_sample(folder, 3, *sample(3), PIXEL_SIZE_NM)
    assert complete_samples(folder) == [0, 1, 2]


def test_full_disk_leaves_no_incomplete_file(folder):
    """Files limited to 3000 bytes stand in for the disk: images of random bytes are larger."""
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from nanorender.files.dataset import write_sample\n"
        "from nanorender.errors import InputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "image = np.random.default_rng(0).integers(0, 256, (99, 99), dtype=np.uint8)\n"
        "labels = np.zeros((99, 99), np.int32)\n"
        "try:\n"
        "    write_sample(Path(sys.argv[1]), 3, image, labels, {'label': labels[0, :0]}, 1.0)\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )
    assert "images/000003.tif cannot be written: " in done.stdout
    assert done.stdout.count("\n") == 1
    assert complete_samples(folder) == [0, 1, 2]
    assert sorted(path.name for path in (folder / "images").iterdir()) == [
        "000000.tif",
        "000001.tif",
        "000002.tif",
    ]


def test_a_damaged_truth_table_is_refused(folder):
    path = sample_paths(folder, 0).truth
    for text in ("", "label,a\n1\n", "label\none\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="is not a table of numbers"):
            read_truth_table(folder, 0)


def test_a_sound_dataset_is_verified(folder):
    assert verify(folder) == (3, ())


def test_missing_samples_are_found(folder):
    create_dataset(folder, "squares", RECIPE, 7, 5)
    assert verify(folder).problems == ("2 of 5 samples are missing, the first is 000003",)


def test_a_changed_recipe_is_found(folder):
    (folder / "recipe.toml").write_text(RECIPE + "\n")
    assert "recipe.toml was changed" in verify(folder).problems[0]


@pytest.mark.parametrize("kind", ["labels", "truth", "image"])
def test_changed_missing_and_cut_off_files_are_found(folder, kind):
    path = getattr(sample_paths(folder, 1), kind)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])
    assert any(line.endswith("was changed") for line in verify(folder).problems)
    path.write_bytes(whole[: len(whole) // 3])
    assert verify(folder).problems[0].startswith("sample 000001")
    path.unlink()
    assert verify(folder).problems[0].startswith("sample 000001")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            lambda image, labels, truth: labels.__setitem__((labels == 2), 1),
            "the 1 labels of the label map",
        ),
        (lambda image, labels, truth: labels.__setitem__((5, 5), 0), "area of label 1"),
        (
            lambda image, labels, truth: truth.update(label=np.array([1, 3])),
            "the 2 labels of the label map",
        ),
    ],
)
def test_labels_that_contradict_the_truth_table_are_found(folder, spoil, problem):
    contents = sample(1)
    spoil(*contents)
    write_sample(folder, 1, *contents, PIXEL_SIZE_NM)
    (line,) = verify(folder).problems
    assert problem in line


def test_reading_a_dataset_does_not_load_the_renderer():
    program = (
        "import sys, nanorender.files.dataset, nanorender.files.verify, nanorender.files.export\n"
        "print([name for name in ('numba', 'jax', 'pandas', 'nanorender.rendering') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_a_table_without_labels_or_with_huge_ones_is_found(folder):
    for text in ("particle,area\n1,2\n", "label\n" + "9" * 30 + "\n"):
        (folder / "truth" / "000001.csv").write_text(text)
        sums = folder / "sums" / "000001.sha256"
        lines = [line.split("  ")[1] for line in sums.read_text().splitlines()]
        sums.write_text(
            "".join(
                f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in lines
            )
        )
        (problem,) = verify(folder).problems
        assert "label" in problem


def test_a_file_larger_than_any_of_its_kind_is_not_read(folder):
    with (folder / "dataset.json").open("r+b") as file:
        file.truncate(1 << 40)  # a file full of holes takes no room on the disk
    with pytest.raises(InputError, match="exceeds the limit of 1 MiB"):
        open_dataset(folder)
