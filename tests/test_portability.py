"""The program uses nothing that only POSIX systems have.

A stand-in for a machine with Windows: the chain runs in processes in which modules, functions and
signals of POSIX are missing and every worker process is started anew.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanorender.files.verify import verify

ROOT = Path(__file__).parents[1]

WITHOUT_POSIX = """
import multiprocessing, os, signal, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {"crypt", "fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

import asyncio  # which needs sysconf on Linux
import psutil  # which needs resource on Linux

for name in ("fork", "forkpty", "getuid", "geteuid", "getpgid", "killpg", "setsid", "sysconf",
             "sched_getaffinity", "sched_setaffinity", "mkfifo", "chown"):
    vars(os).pop(name, None)
for name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2"):
    vars(signal).pop(name, None)
for name in ("fork", "forkserver"):
    multiprocessing.context._concrete_contexts.pop(name, None)
multiprocessing.get_all_start_methods = lambda: ["spawn"]
multiprocessing.set_start_method("spawn", force=True)
for name in ("fcntl", "resource"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
"""
"""Run by Python at the start of every process, also of workers."""

TINY = """
channels = [4, 8]
block_px = 1
targets = ["foreground", "interior", "boundary", "distance"]
patch_px = 32
batch = 2
steps_per_epoch = 3
epochs = 1
learning_rate = 1e-3
schedule = "constant"
averaging = 0.9
"""


@pytest.fixture
def run(tmp_path):
    """Run a command without POSIX; its standard output is encoded as in a pipe on Windows."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WITHOUT_POSIX)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "PYTHONIOENCODING": "cp1252",
    }

    def started(*arguments):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            encoding="cp1252",
            env=environment,
            cwd=tmp_path,
            timeout=900,
        )

    return started


def test_modules_and_functions_of_posix_are_missing_here(run):
    done = run("-c", "import os, signal; print(hasattr(os, 'fork'), hasattr(signal, 'SIGKILL'))")
    assert done.stdout.split() == ["False", "False"], done.stderr
    for name in ("fcntl", "resource"):
        assert f"No module named '{name}'" in run("-c", f"import {name}").stderr


def test_the_chain_runs_without_posix(run, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    table = "\u03b2-TiO\u2082.csv"
    printed = ""
    for line in (
        "generate sio2 -n 4 --pixel-size-nm 12 --image-px 64 -o dataset --workers 2",
        "train dataset -o run --preset tiny.toml",
        "segment dataset/images -o labels --model run --once",
        f"measure labels -o {table} --workers 2",
        "report labels -o report",
    ):
        done = run("-m", "cli", *line.split())
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    assert verify(tmp_path / "dataset") == (4, ())
    assert (tmp_path / table).is_file()
    assert (tmp_path / "report" / "index.html").is_file()
    assert "\\u03b2-TiO\\u2082.csv" in printed  # which a pipe cannot encode
