"""Peak memory and time of `nanorender segment` on one large micrograph.

    python benchmarks/large_image.py --edge 20000 --once

The micrograph consists of discs, and a small network is trained on them for a few seconds. Tiles
are predicted one by one, so memory depends little on the width of the network. Peak memory and
times are written to docs/results/large_image.json.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tifffile
from results import add_results, peak_memory_bytes, processor_seconds
from scipy import ndimage

from nanorender.files.labeled import LabeledImage
from nanorender.files.tiff import write_image
from unet.data import make_samples
from unet.presets import CPU
from unet.train import train

PATTERN_PX = 1000


def micrograph(edge: int) -> np.ndarray:
    """Return noisy bright discs of 8 to 20 px radius, as a repeated pattern."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:PATTERN_PX, :PATTERN_PX]
    pattern = rng.normal(60, 10, (PATTERN_PX, PATTERN_PX))
    for center_y in range(25, PATTERN_PX, 50):
        for center_x in range(25, PATTERN_PX, 50):
            pattern[np.hypot(y - center_y, x - center_x) < rng.uniform(8, 20)] += 120
    times = -(-edge // PATTERN_PX)
    return np.tile(pattern.clip(0, 255).astype(np.uint8), (times, times))[:edge, :edge]


def trained(folder: Path) -> Path:
    """Return a run folder with a network trained on the discs."""
    settings = CPU.model_copy(
        update={"channels": (4, 8), "patch_px": 64, "steps_per_epoch": 150, "epochs": 1}
    )
    image = micrograph(PATTERN_PX)
    clean = cv2.GaussianBlur(image, (0, 0), 1.5) > 120
    labels = np.asarray(ndimage.label(clean)[0], np.int32)
    samples = make_samples([LabeledImage(image, labels, 7.0, Path("pattern"))], 1, settings)
    train(samples, settings, folder / "run")
    return folder / "run"


def main() -> None:
    """Segment a synthetic micrograph, and print and write memory and times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--edge", type=int, default=20_000)
    parser.add_argument("--once", action="store_true", help="predict without averaging over flips")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_image(folder / "large.tif", micrograph(options.edge), 7.0)
        command = [sys.executable, "-m", "cli", "segment", trained(folder)]
        command += [folder / "large.tif", "-o", folder / "labels"]
        begun, cpu_begun = time.perf_counter(), processor_seconds()
        peak_gb = peak_memory_bytes([*command, *(["--once"] if options.once else [])]) / 1e9
        seconds, cpu_s = time.perf_counter() - begun, processor_seconds() - cpu_begun
        count = tifffile.imread(folder / "labels" / "large.tif").max()
    print(
        f"{options.edge} x {options.edge} px, {count} particles: {peak_gb:.2f} GB at most, "
        f"{seconds:.0f} s, {cpu_s:.0f} s of CPU"
    )
    results = {
        "edge_px": options.edge,
        "particles": int(count),
        "averaged": not options.once,
        "peak_memory_gb": peak_gb,
        "wall_s": seconds,
        "cpu_s": cpu_s,
    }
    command = f"python benchmarks/large_image.py --edge {options.edge}{' --once' * options.once}"
    print(add_results("large_image", {str(options.edge): results}, command))


if __name__ == "__main__":
    main()
