"""Results of the benchmarks as JSON files, which the documentation renders into tables and plots.

A file `docs/results/NAME.json` holds the name of the benchmark, the date, versions, a description
of the machine, the command, and the results themselves. Results of pytest-benchmark are converted
with

    python benchmarks/results.py bench_analysis pytest.json
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

FOLDER = Path(__file__).parents[1] / "docs" / "results"
PACKAGES = ("numpy", "numba", "scipy", "scikit-image", "opencv-python-headless", "jax", "flax")


def write_results(name: str, results: Mapping[str, Any], command: str | None = None) -> Path:
    """Write the results of a benchmark, with date, versions and machine.

    Parameters
    ----------
    name : file name without extension
    results : JSON-serializable results
    command : command that produced the results; that of this process by default

    Returns
    -------
    The file written.
    """
    record = {
        "benchmark": name,
        "date": date.today().isoformat(),
        "nanorender": version("nanorender"),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
        },
        "command": command or _command(),
        "results": results,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8", newline="\n")
    return path


def add_results(name: str, results: Mapping[str, Any], command: str) -> Path:
    """Add results to those already in the file, for benchmarks that are run test by test."""
    path = FOLDER / f"{name}.json"
    earlier = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else {}
    return write_results(name, {**earlier, **results}, command)


@contextmanager
def cpu_seconds(seconds: dict[str, float], key: str) -> Iterator[None]:
    """Add the processor time of this process and its finished children to `seconds[key]`."""
    began = processor_seconds()
    yield
    seconds[key] = seconds.get(key, 0.0) + processor_seconds() - began


def processor_seconds() -> float:
    """Return the processor time of this process and, except on Windows, its finished children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def peak_memory_bytes(command: Sequence[object], **options: Any) -> int:
    """Run a command and return the largest memory of its process, sampled 50 times a second.

    Parameters
    ----------
    command : program and arguments
    options : further arguments of `subprocess.Popen`

    Returns
    -------
    Bytes of resident memory.

    Raises
    ------
    CalledProcessError
        If the command fails.
    """
    peak = 0
    with psutil.Popen([*map(str, command)], **options) as process:
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                peak = max(peak, process.memory_info().rss)
            time.sleep(0.02)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Return the model name of the processor, or the architecture if it is unknown."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _command() -> str:
    """Return the command of this process, with absolute paths shortened to their last part."""
    script = Path(sys.argv[0])
    arguments = [Path(each).name if each.startswith("/") else each for each in sys.argv[1:]]
    return shlex.join(["python", f"{script.parent.name}/{script.name}", *arguments])


def _converted(path: Path) -> dict[str, dict[str, float]]:
    """Return median and least seconds of each benchmark in a file of pytest-benchmark."""
    return {
        benchmark["name"].removeprefix("test_"): {
            "median_s": benchmark["stats"]["median"],
            "min_s": benchmark["stats"]["min"],
            "rounds": benchmark["stats"]["rounds"],
        }
        for benchmark in json.loads(path.read_text())["benchmarks"]
    }


def main() -> None:
    """Convert a file of pytest-benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="name of the benchmark module, without extension")
    parser.add_argument("file", type=Path, help="JSON file written by --benchmark-json")
    asked = parser.parse_args()
    command = f"python -m pytest -n 0 benchmarks/{asked.name}.py --benchmark-enable"
    print(write_results(asked.name, _converted(asked.file), command))


if __name__ == "__main__":
    main()
