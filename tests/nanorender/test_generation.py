import filecmp
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
from filelock import FileLock

import nanorender.generation
from nanorender.errors import InputError
from nanorender.files.dataset import complete_samples, open_dataset, read_truth_table
from nanorender.files.verify import verify
from nanorender.generation import generate, parse_shard
from nanorender.recipe import read_recipe
from nanorender.scenes.placement import Scattered

SEED = 5
COUNT = 8


def tiny():
    """A recipe whose samples take a few milliseconds."""
    return read_recipe("sio2").at_scale(12.0, 64)


@dataclass
class Drawn:
    """What `render` returns, as far as it is written."""

    image: np.ndarray
    labels: np.ndarray
    truth: dict
    pixel_size_nm: float


def drawn(_recipe, seed, index):
    """A stand-in for `render`: random pixels and one square."""
    rng = np.random.default_rng([seed, index])
    labels = np.zeros((20, 30), np.int32)
    labels[4:9, 4:9] = 1
    truth = {"label": np.array([1]), "visible_area_nm2": np.array([25 * 4.0])}
    return Drawn(rng.integers(0, 256, (20, 30), np.uint8), labels, truth, 2.0)


@pytest.fixture
def quick(monkeypatch):
    """Draw instead of rendering; the workers of other processes still render."""
    monkeypatch.setattr(nanorender.generation, "render", drawn)


def sample_files(folder):
    """Everything in a dataset that is not the lock of who made it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder) for path in files if not path.name.startswith("lock"))


def assert_same(one, other):
    assert sample_files(one) == sample_files(other)
    for name in sample_files(one):
        assert filecmp.cmp(one / name, other / name, shallow=False), name


def test_samples_are_written_and_progress_reported(quick, tmp_path):
    told = []
    generate(tiny(), 4, SEED, tmp_path / "a", workers=1, on_progress=lambda *now: told.append(now))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert verify(tmp_path / "a") == (4, ())


def test_only_missing_samples_are_regenerated_identically(quick, tmp_path, monkeypatch):
    generate(tiny(), COUNT, SEED, tmp_path / "whole", workers=1)
    generate(tiny(), COUNT, SEED, tmp_path / "mended", workers=1)
    for index in (2, 5):
        (tmp_path / "mended" / "sums" / f"{index:06d}.sha256").unlink()
    (tmp_path / "mended" / "images" / "000002.tif").write_bytes(b"torn")
    (tmp_path / "mended" / "images" / ".part-123-456").write_bytes(b"torn")
    made = []
    monkeypatch.setattr(
        nanorender.generation, "render", lambda *key: made.append(key[2]) or drawn(*key)
    )
    generate(tiny(), COUNT, SEED, tmp_path / "mended", workers=1)
    assert made == [2, 5]
    assert_same(tmp_path / "whole", tmp_path / "mended")


def test_a_dataset_is_extended(quick, tmp_path):
    generate(tiny(), 3, SEED, tmp_path / "a", workers=1)
    generate(tiny(), COUNT, SEED, tmp_path / "a", workers=1)
    generate(tiny(), COUNT, SEED, tmp_path / "b", workers=1)
    assert_same(tmp_path / "a", tmp_path / "b")


def test_shards_together_are_the_whole(quick, tmp_path):
    generate(tiny(), COUNT, SEED, tmp_path / "whole", workers=1)
    for number in (3, 1, 2):
        generate(tiny(), COUNT, SEED, tmp_path / "parts", workers=1, shard=(number, 3))
        if number == 3:
            assert complete_samples(tmp_path / "parts") == [2, 5]
    assert_same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (1, 0)])
def test_an_impossible_shard_is_refused(tmp_path, shard):
    with pytest.raises(InputError, match="must be i/n with i from 1"):
        generate(tiny(), COUNT, SEED, tmp_path / "a", workers=1, shard=shard)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("count", "seed", "workers"), [(-1, 0, 1), (1, -1, 1), (1, 0, 0)])
def test_impossible_numbers_are_refused(tmp_path, count, seed, workers):
    with pytest.raises(InputError, match="must be at least 0"):
        generate(tiny(), count, seed, tmp_path / "a", workers=workers)


def test_another_seed_or_recipe_is_refused_and_changes_nothing(quick, tmp_path):
    generate(tiny(), 2, SEED, tmp_path / "a", workers=1)
    generate(tiny(), 2, SEED, tmp_path / "b", workers=1)
    with pytest.raises(InputError, match=f"seed {SEED}, got 6"):
        generate(tiny(), 9, 6, tmp_path / "a", workers=1)
    with pytest.raises(InputError, match=r"'camera\.image_px' was 64, got 80"):
        generate(tiny().at_scale(12.0, 80), 9, SEED, tmp_path / "a", workers=1)
    assert_same(tmp_path / "a", tmp_path / "b")


def test_a_second_process_on_the_same_folder_is_refused_and_changes_nothing(
    quick, tmp_path, monkeypatch
):
    generate(tiny(), 2, SEED, tmp_path / "a", workers=1)
    monkeypatch.setattr(nanorender.generation, "LONGEST_LOCK_WAIT_S", 0.1)
    with FileLock(tmp_path / "a" / "lock"):  # as a dataset that is not divided holds it
        for shard in ((1, 1), (1, 2)):
            with pytest.raises(InputError, match="another process is writing to"):
                generate(tiny(), 9, SEED, tmp_path / "a", workers=1, shard=shard)
    assert open_dataset(tmp_path / "a").count == 2
    with FileLock(tmp_path / "a" / "lock-2-of-2"):  # as another shard holds it
        for shard in ((1, 1), (2, 2)):
            with pytest.raises(InputError, match="another process is writing to"):
                generate(tiny(), 9, SEED, tmp_path / "a", workers=1, shard=shard)
        assert open_dataset(tmp_path / "a").count == 2
        generate(tiny(), 9, SEED, tmp_path / "a", workers=1, shard=(1, 2))
    generate(tiny(), 9, SEED, tmp_path / "a", workers=1)
    assert verify(tmp_path / "a") == (9, ())


def test_shards_that_start_at_once_do_not_refuse_each_other(quick, tmp_path):
    """The lock of the folder is held only for a moment; here, another shard holds it for 0.3 s."""
    generate(tiny(), 2, SEED, tmp_path / "a", workers=1)
    lock = FileLock(tmp_path / "a" / "lock", thread_local=False)
    lock.acquire()
    threading.Timer(0.3, lock.release).start()
    generate(tiny(), 2, SEED, tmp_path / "a", workers=1, shard=(1, 2))
    assert not lock.is_locked


def test_interrupted_run_resumes(quick, tmp_path, monkeypatch):
    def interrupted(recipe, seed, index):
        if index == 3:
            raise KeyboardInterrupt
        return drawn(recipe, seed, index)

    monkeypatch.setattr(nanorender.generation, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(tiny(), COUNT, SEED, tmp_path / "a", workers=1)
    assert complete_samples(tmp_path / "a") == [0, 1, 2]
    monkeypatch.setattr(nanorender.generation, "render", drawn)
    generate(tiny(), COUNT, SEED, tmp_path / "a", workers=1)
    generate(tiny(), COUNT, SEED, tmp_path / "b", workers=1)
    assert_same(tmp_path / "a", tmp_path / "b")


PROGRAM = f"""
import sys
from pathlib import Path
from nanorender.generation import generate, parse_shard
from nanorender.recipe import read_recipe

if __name__ == "__main__":
    recipe = read_recipe("sio2").at_scale(12.0, 64)
    generate(recipe, int(sys.argv[2]), {SEED}, Path(sys.argv[1]), workers=int(sys.argv[3]))
"""


@pytest.fixture
def start(tmp_path):
    """Start generating in another process."""
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py")]

    def started(folder, count, workers):
        return subprocess.Popen(
            [*command, str(folder), str(count), str(workers)], stderr=subprocess.PIPE
        )

    return started


def sums(folder):
    return len(list((folder / "sums").glob("*.sha256"))) if folder.exists() else 0


def wait_for_samples(process, folder, count):
    """Wait until a folder has so many whole samples; fail as soon as the process has."""
    end = time.monotonic() + 240
    while sums(folder) < count:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_rendered_samples_are_the_same_for_any_number_of_workers(tmp_path):
    for workers in (1, 2, 3):
        generate(tiny(), COUNT, SEED, tmp_path / str(workers), workers=workers)
    assert verify(tmp_path / "1") == (COUNT, ())
    assert_same(tmp_path / "1", tmp_path / "2")
    assert_same(tmp_path / "1", tmp_path / "3")
    tables = [read_truth_table(tmp_path / "1", index) for index in range(COUNT)]
    assert sum(table["label"].size for table in tables) > COUNT


def test_keyboard_interrupt_ends_all_processes_and_keeps_complete_samples(tmp_path, start):
    process = start(tmp_path / "a", 5000, 2)
    wait_for_samples(process, tmp_path / "a", 3)
    family = psutil.Process(process.pid).children(recursive=True)
    for member in (process, *family):  # as a terminal does
        os.kill(member.pid, signal.SIGINT)
    stderr = process.communicate(timeout=60)[1].decode()
    assert stderr.count("Traceback") <= 1  # of this program's own, which does not catch it
    assert not psutil.wait_procs(family, timeout=20)[1]
    assert not [path for path in sample_files(tmp_path / "a") if path.name.startswith(".part")]
    assert not [line for line in verify(tmp_path / "a").problems if "missing" not in line]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killing_random_processes_leaves_no_incomplete_sample(tmp_path, start, kills):
    rng = np.random.default_rng(1)
    count = 30 * kills
    for number in range(kills):
        process = start(tmp_path / "killed", count, 2)
        begun = sums(tmp_path / "killed")
        wait_for_samples(process, tmp_path / "killed", begun + 1)
        time.sleep(rng.uniform(0, 0.3))
        family = psutil.Process(process.pid).children(recursive=True)
        victim = process if number % 2 else rng.choice(np.array(family, dtype=object))
        victim.kill()
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        psutil.wait_procs(family, timeout=20)
        seen = verify(tmp_path / "killed")
        assert not [line for line in seen.problems if "are missing" not in line]
    generate(tiny(), count, SEED, tmp_path / "killed", workers=2)
    generate(tiny(), count, SEED, tmp_path / "whole", workers=1)
    assert_same(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("text", ["3", "1/2/3", "a/b", "", "0/4", "5/4", "1/0"])
def test_invalid_shard_text_is_refused(text):
    with pytest.raises(InputError, match=r"i/n"):
        parse_shard(text)


def test_shard_text_is_parsed():
    assert parse_shard("3/16") == (3, 16)


def test_recipe_without_valid_scene_leaves_no_folder(tmp_path):
    nowhere = Scattered(density_map=tmp_path / "missing.png")
    recipe = tiny().model_copy(update={"placement": nowhere})
    with pytest.raises(InputError, match=r"missing\.png does not exist"):
        generate(recipe, 4, SEED, tmp_path / "a", workers=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pixel_size_nm", [0.0, -1.0, float("nan"), 1e300, 1e-300])
def test_pixel_size_out_of_range_is_refused(pixel_size_nm):
    with pytest.raises(InputError, match=r"must be from 0\.001 to 100000"):
        read_recipe("sio2").at_scale(pixel_size_nm, 64)
