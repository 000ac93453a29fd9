"""Whether the thousandth sample costs what the tenth does, in processor time and in memory.

    python benchmarks/many_samples.py -n 1000 -o many.png

One process makes and writes small images, so that the machine's noise is the only one. Processor
time is used, since other work on the machine does not count in it.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import matplotlib
import numpy as np

from nanorender.generate import generate
from nanorender.recipe import read_recipe

matplotlib.use("Agg")
PAGE_BYTES = resource.getpagesize()


def measure(count: int, folder: Path, edge_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return processor time in ms and resident memory in MiB after each of `count` samples."""
    times, memory = [], []

    def note(_done: int, _total: int) -> None:
        times.append(time.process_time())
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 2**20)

    recipe = read_recipe("sio2").at_scale(6.0, edge_px)
    generate(recipe, count, 0, folder, workers=1, on_progress=note)
    return 1e3 * np.diff(times), np.array(memory[1:])


def draw(times_ms: np.ndarray, memory_mib: np.ndarray, path: Path) -> None:
    """Draw running medians of the time, and the memory, over the number of the sample."""
    import matplotlib.pyplot as plt

    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(6, 4.5), layout="tight")
    numbers = np.arange(1, times_ms.size + 1)
    upper.plot(numbers, times_ms, ".", markersize=2, color="0.7")
    windows = np.array_split(np.arange(times_ms.size), max(1, times_ms.size // 50))
    upper.plot(
        [numbers[one].mean() for one in windows],
        [np.median(times_ms[one]) for one in windows],
        color="C0",
    )
    upper.set(ylabel="processor time, ms", ylim=(0, 3 * np.median(times_ms)))
    lower.plot(numbers, memory_mib, color="C1")
    lower.set(xlabel="sample", ylabel="memory, MiB", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print the figures and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--count", type=int, default=1000)
    parser.add_argument("--edge-px", type=int, default=128)
    parser.add_argument("-o", "--out", type=Path, default=Path("many_samples.png"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        times, memory = measure(asked.count, Path(name) / "dataset", asked.edge_px)
        files = [path for path in (Path(name) / "dataset").rglob("*") if path.is_file()]
        kib = sum(path.stat().st_size for path in files) / 1024 / asked.count
    early, late = np.median(times[9:109]), np.median(times[-100:])
    print(f"samples 10 to 109: {early:.1f} ms of processor each; the last 100: {late:.1f} ms")
    print(f"change {100 * (late / early - 1):+.1f} %")
    print(f"memory after sample 10: {memory[9]:.0f} MiB, after the last: {memory[-1]:.0f} MiB")
    print(f"disk: {kib:.0f} KiB a sample of {asked.edge_px} x {asked.edge_px} px")
    draw(times, memory, asked.out)
    print(asked.out)


if __name__ == "__main__":
    main()
