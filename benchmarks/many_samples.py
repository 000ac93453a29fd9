"""Processor time and memory per image over many images.

    python benchmarks/many_samples.py -n 1000

One process renders and writes small images, segments them with a small untrained network and
measures the label maps. Other work on the machine affects processor time only through the caches;
the lower quartile of each hundred images is the least affected. Times and memory of every image are
written to docs/results/many_samples.json.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from results import write_results

from nanorender.files.collection import Reading, find_collection
from nanorender.generation import generate
from nanorender.measuring.table import tabulate
from nanorender.recipe import read_recipe
from nanorender.separation.separate import Separation
from unet.checkpoint import ModelCard, write_model
from unet.data import PixelSizes
from unet.model import initial_weights
from unet.presets import CPU
from unet.segment import PredictionSettings, segment

PIXEL_SIZE_NM = 6.0
FIRST, WINDOW = 10, 100


class Course(NamedTuple):
    """Cost of a stage for each image.

    Attributes
    ----------
    times_ms : (n) processor time
    memory_mib : (n) resident memory after the image
    """

    times_ms: np.ndarray
    memory_mib: np.ndarray

    def windows(self) -> list[np.ndarray]:
        """Return the indices of the images from the tenth on, in windows of about a hundred."""
        numbers = np.arange(FIRST, self.times_ms.size + 1)
        return np.array_split(numbers, max(1, numbers.size // WINDOW))

    def levels_ms(self) -> list[float]:
        """Return the lower quartile of the time in each window."""
        return [float(np.quantile(self.times_ms[part - 1], 0.25)) for part in self.windows()]


def watched(stage: Callable[[Callable], object]) -> Course:
    """Run a stage and record time and memory after each image."""
    times, memory = [], []

    def note(done: int, *_: object) -> None:
        if done == len(times):
            times.append(time.process_time())
            memory.append(psutil.Process().memory_info().rss / 2**20)

    stage(note)
    return Course(1e3 * np.diff(times), np.array(memory[1:]))


def courses(count: int, folder: Path, edge_px: int) -> dict[str, Course]:
    """Return the cost of rendering, segmenting and measuring `count` images."""
    recipe = read_recipe("sio2").at_scale(PIXEL_SIZE_NM, edge_px)
    training = CPU.model_copy(update={"channels": (4, 8), "block_px": 1})
    sizes = PixelSizes(
        lowest_nm=PIXEL_SIZE_NM / 2, median_nm=PIXEL_SIZE_NM, highest_nm=2 * PIXEL_SIZE_NM
    )
    card = ModelCard(training=training, pixel_sizes=sizes, dataset_sha256="", epoch=0, version="0")
    model = folder / "model.safetensors"
    write_model(model, card, initial_weights(training.architecture, np.random.default_rng(0)))
    images, labels = folder / "set" / "images", folder / "labels"

    def segmented(note: Callable) -> None:
        found = find_collection(images, Reading())
        segment(
            model, found, Separation(), labels, PredictionSettings(averaged=False), on_progress=note
        )

    return {
        "generate": watched(
            lambda note: generate(recipe, count, 0, folder / "set", workers=1, on_progress=note)
        ),
        "segment": watched(segmented),
        "measure": watched(lambda note: tabulate(labels, folder / "p.csv", 1, None, note)),
    }


def main() -> None:
    """Measure, print a summary and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", "--count", type=int, default=1000)
    parser.add_argument("--edge-px", type=int, default=128)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measured = courses(asked.count, Path(name), asked.edge_px)
        files = [path for path in (Path(name) / "set").rglob("*") if path.is_file()]
        kib = sum(path.stat().st_size for path in files) / 1024 / asked.count
    stages = {}
    for stage, course in measured.items():
        levels, memory = course.levels_ms(), course.memory_mib
        print(
            f"{stage}: {levels[0]:.1f} ms of CPU time per image from the 10th on, {levels[-1]:.1f} "
            f"at the end ({100 * (levels[-1] / levels[0] - 1):+.1f} %); memory "
            f"{memory[FIRST]:.0f} MiB after the 10th, {memory[-1]:.0f} at the end"
        )
        stages[stage] = {
            "cpu_ms": course.times_ms.round(2).tolist(),
            "memory_mib": memory.round(1).tolist(),
            "windows": [float(part.mean()) for part in course.windows()],
            "lower_quartile_ms": levels,
        }
    print(f"disk: {kib:.0f} KiB per sample of {asked.edge_px} x {asked.edge_px} px")
    results = {
        "images": asked.count,
        "edge_px": asked.edge_px,
        "disk_kib_per_sample": kib,
        "stages": stages,
    }
    print(write_results("many_samples", results))


if __name__ == "__main__":
    main()
