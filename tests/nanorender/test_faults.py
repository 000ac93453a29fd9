"""Full disks, read-only folders, signals, clocks that jump: of the program as a user runs it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from nanorender.errors import InputError, UnwritableError
from nanorender.files.dataset import open_dataset
from nanorender.files.tiff import write_image
from nanorender.files.verify import verify
from nanorender.generation import generate
from nanorender.provenance.reproduce import differences
from nanorender.recipe import read_recipe

TINY = ("sio2", "--pixel-size-nm", 12, "--image-px", 64)


def command(*arguments):
    return [sys.executable, "-m", "cli", *map(str, arguments)]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=240)


@contextlib.contextmanager
def mounted(folder, *options):
    """Mount something on a folder, or skip the test with a word."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def assert_one_line(done):
    lines = [line for line in done.stderr.splitlines() if line.startswith("nanorender: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_ends_a_run_in_one_line_and_keeps_complete_samples(tmp_path, workers):
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=400k", "tmpfs") as small:
        done = run("generate", *TINY, "-n", 40, "-o", small / "set", "--workers", workers)
        # NumPy does not give the reason of a write that ends within an array
        assert re.search("No space left on device|the disk may be full", assert_one_line(done))
        found = verify(small / "set")
        assert found.samples > 3
        assert all("are missing" in problem for problem in found.problems)
        assert not list((small / "set").rglob(".part-*"))
        subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
        whole = found.samples + 2
        generate(read_recipe("sio2").at_scale(12.0, 64), 40, 0, small / "set", workers=2)
        assert verify(small / "set") == (40, ())
        assert whole < 40


def test_a_read_only_folder_is_refused_in_one_line(tmp_path):
    generate(read_recipe("sio2").at_scale(12.0, 64), 2, 0, tmp_path / "set", workers=1)
    with mounted(tmp_path / "set", "--bind", str(tmp_path / "set")) as folder:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        done = run("generate", *TINY, "-n", 4, "-o", folder, "--workers", 1)
        assert "Read-only file system" in assert_one_line(done)
    assert verify(tmp_path / "set") == (2, ())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_run_with_exit_code_130_and_it_resumes(tmp_path, number):
    process = subprocess.Popen(
        command("generate", *TINY, "-n", 400, "-o", tmp_path / "set", "--workers", 2),
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 200
    while len(list((tmp_path / "set" / "sums").glob("*"))) < 4:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert stderr.rstrip().endswith("nanorender: interrupted; run the command again to resume")
    assert not psutil.wait_procs(family, timeout=20)[1]
    assert not list((tmp_path / "set").rglob(".part-*"))
    problems = verify(tmp_path / "set").problems
    assert len(problems) == 1
    assert "are missing" in problems[0]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "set" / "images").iterdir()}
    # The rest is cut short: only that it goes on, and leaves what there is, is of interest here.
    recipe = read_recipe("sio2").at_scale(12.0, 64)

    def enough(done, _total):
        if done == len(kept) + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(recipe, 5000, 0, tmp_path / "set", workers=1, on_progress=enough)
    assert verify(tmp_path / "set").samples == len(kept) + 3
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_clock_jumps_change_nothing(tmp_path, monkeypatch):
    recipe = read_recipe("sio2").at_scale(12.0, 64)
    generate(recipe, 4, 0, tmp_path / "steady", workers=1)
    jumps = iter(np.random.default_rng(0).uniform(-1e9, 4e9, 10_000))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr(time, "perf_counter", lambda: next(jumps))
    generate(recipe, 2, 0, tmp_path / "jumping", workers=1)
    for number, path in enumerate(sorted((tmp_path / "jumping").rglob("*.*"))):
        os.utime(path, (10**9 * (number % 4), 10**9 * (number % 4)))
    generate(recipe, 4, 0, tmp_path / "jumping", workers=1)
    assert differences(tmp_path / "steady", tmp_path / "jumping") == []
    assert open_dataset(tmp_path / "jumping").count == 4


def test_two_processes_that_generate_into_one_folder_at_once_leave_one_dataset(tmp_path):
    folder, alone = tmp_path / "set", tmp_path / "alone"
    both = [
        subprocess.Popen(
            command("generate", *TINY, "-n", 12, "-o", folder, "--workers", 1),
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 2]), said
    if codes == [0, 2]:
        assert sum("another process is writing to" in text for text in said) == 1
    generate(read_recipe("sio2").at_scale(12.0, 64), 12, 0, alone, workers=1)
    assert verify(folder) == (12, ())
    assert differences(folder, alone) == []


def test_unwritable_file_is_distinguished_from_invalid_input(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(UnwritableError) as caught:
        write_image(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), 1.0)
    assert isinstance(caught.value, InputError)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
