"""Time and peak memory of `segment`, `measure` and `report` on studies of thousands of images.

    python benchmarks/large_study.py -n 20000

Small images of spheres are rendered, and a small network is trained on them for some seconds. A
study consists of flipped and rotated copies of these images with noise of their own. The commands
run as processes on a tenth of the images and on all of them. The size that the particle table would
have in memory is written beside the peaks. With `--folder`, an interrupted benchmark resumes, and
commands that were measured are not run again. Results are written to docs/results/large_study.json.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from results import peak_memory_bytes, write_results

from nanorender.files.labeled import LabeledImage
from nanorender.files.tiff import write_image
from nanorender.recipe import read_recipe
from nanorender.rendering import render
from unet.data import make_samples
from unet.presets import CPU
from unet.train import train

PIXEL_SIZE_NM = 6.0
TRAINING_PX, TRAINING_IMAGES = 512, 2
NOISE = 3.0


def rendered(edge_px: int, count: int, seed: int) -> list[LabeledImage]:
    """Return images of spheres and their label maps."""
    recipe = read_recipe("sio2").at_scale(PIXEL_SIZE_NM, edge_px)
    samples = [render(recipe, seed, index) for index in range(count)]
    return [LabeledImage(each.image, each.labels, PIXEL_SIZE_NM, Path()) for each in samples]


def trained(folder: Path) -> Path:
    """Return a run folder with a network trained on images of spheres."""
    if not (folder / "model.safetensors").is_file():
        settings = CPU.model_copy(
            update={"channels": (8, 16), "patch_px": 64, "steps_per_epoch": 150, "epochs": 2}
        )
        train(
            make_samples(rendered(TRAINING_PX, TRAINING_IMAGES, 1), TRAINING_IMAGES, settings),
            settings,
            folder,
        )
    return folder


def write_micrographs(folder: Path, templates: list[LabeledImage], count: int) -> Path:
    """Write a folder of images; those that exist are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = folder / f"{index:06d}.tif"
        if path.exists():
            continue
        rng = np.random.default_rng(index)
        image = templates[index % len(templates)].image
        turned = np.rot90(image[:, :: rng.choice((-1, 1))], int(rng.integers(4)))
        noisy = turned + rng.normal(0, NOISE, turned.shape)
        write_image(path, noisy.round().clip(0, 255).astype(np.uint8), PIXEL_SIZE_NM)
    return folder


def study(folder: Path, model: Path, templates: list[LabeledImage], count: int) -> dict:
    """Run the commands on `count` images, and return their costs."""
    images = write_micrographs(folder / "images", templates, count)
    labels, table = folder / "labels", folder / "particles.csv"
    commands = {
        "segment": ("segment", images, "-o", labels, "--model", model, "--once"),
        "measure": ("measure", labels, "-o", table, "--workers", 1),
        "report": ("report", labels, "-o", folder / "report"),
    }
    costs = folder / "costs.json"
    stages = json.loads(costs.read_text()) if costs.exists() else {}
    for name, words in commands.items():
        if name in stages:
            continue
        begun = time.perf_counter()
        peak = peak_memory_bytes([sys.executable, "-m", "cli", *words])
        seconds = time.perf_counter() - begun
        stages[name] = {"wall_s_per_image": seconds / count, "peak_mib": peak / 2**20}
        costs.write_text(json.dumps(stages))
        print(f"{count} images, {name}: {1e3 * seconds / count:.1f} ms per image, "
              f"{peak / 2**20:.0f} MiB at most", flush=True)  # fmt: skip
    particles = pd.read_csv(table, dtype={"image": str})
    return {
        "images": count,
        "particles": len(particles),
        "table_mib": float(particles.memory_usage().sum()) / 2**20,
        "page_mib": (folder / "report" / "index.html").stat().st_size / 2**20,
        "stages": stages,
    }


def main() -> None:
    """Run the commands on two studies, print and write times and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-n", "--count", type=int, default=20_000)
    parser.add_argument("--edge-px", type=int, default=128)
    parser.add_argument("--distinct", type=int, default=24, help="number of rendered images")
    parser.add_argument("--folder", type=Path, help="folder to keep, for resuming")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or Path(name)
        model = trained(folder / "run")
        templates = rendered(asked.edge_px, asked.distinct, 0)
        studies = [
            study(folder / f"study_{count}", model, templates, count)
            for count in (asked.count // 10, asked.count)
        ]
    results = {"edge_px": asked.edge_px, "distinct": asked.distinct, "studies": studies}
    command = f"python benchmarks/large_study.py -n {asked.count}"
    print(write_results("large_study", results, command))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
