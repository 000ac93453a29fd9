"""Repeatability of the segmentation beside its object F1, image by image.

    python benchmarks/repeatability.py --micrographs FOLDER

Repeatability needs no annotation, see `unet.repeatability`. The general model segments annotated
micrographs, and synthetic images of recipes drawn with a seed that no training has seen.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from general_model import SETS
from jaxtyping import Integer
from results import write_results
from scipy.stats import spearmanr

from nanorender.files.collection import Reading, find_collection
from nanorender.models import general_model
from nanorender.randomization import read_recipe_source
from nanorender.rendering import render
from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation
from unet.predict import load_model
from unet.repeatability import checked_part, repeatability
from unet.segment import segment_image

SEED = 78
CLASSES = ((0.0, 0.7), (0.7, 0.85), (0.85, 1.01))
"""Limits of the classes of repeatability; below the first, a report raises a doubt."""

Annotated = tuple[str, Integer[np.ndarray, "h w"], Integer[np.ndarray, "h w"]]


def main() -> None:
    """Segment all images, and write how F1 depends on repeatability."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--micrographs", type=Path, default=Path("micrographs"))
    parser.add_argument("-n", type=int, default=150, help="number of synthetic images")
    options = parser.parse_args()
    model = load_model(general_model())
    least = model.card.confidence.threshold
    rows = []
    for name, image, truth in chain(micrographs(options.micrographs), synthetic(options.n)):
        labels = segment_image(image, model=model).labels
        part = checked_part(image.shape)
        began = time.process_time()
        repeated = repeatability(
            model, image[part].copy(), None, labels[part].copy(), Separation(), least
        )
        seconds = time.process_time() - began
        f1 = score_labels(labels, truth).objects.f1
        rows.append({"set": name, "repeatability": repeated, "f1": f1, "cpu_s": seconds})
        print(rows[-1], flush=True)
    cost = float(np.median([row["cpu_s"] for row in rows]))
    results = {"classes": summary(rows), "cpu_s": cost, "images": rows}
    print(write_results("repeatability", results))


def micrographs(folder: Path) -> Iterator[Annotated]:
    """Read the annotated micrographs that are there."""
    for each in SETS:
        if (folder / each.folder).is_dir():
            reading = Reading(truth=each.truth, scale_needed=False)
            images = find_collection(folder / each.folder, reading)
            for image in images:
                yield each.title, image.image, images.truth(image)


def synthetic(count: int) -> Iterator[Annotated]:
    """Render images of recipes drawn at random."""
    source = read_recipe_source("any")
    for index in range(count):
        sample = render(source.for_sample(SEED, index), SEED, index)
        yield "synthetic", sample.image, sample.labels.astype(np.int32)


def summary(rows: list[dict]) -> list[dict]:
    """Summarize F1 by class of repeatability, of micrographs and of synthetic images."""
    classes = []
    for kind in ("micrographs", "synthetic images"):
        known = [
            row
            for row in rows
            if (row["set"] == "synthetic") == (kind == "synthetic images")
            and row["repeatability"] is not None
        ]
        if not known:
            continue
        repeated, f1 = (np.array([row[key] for row in known]) for key in ("repeatability", "f1"))
        for low, high in CLASSES:
            inside = f1[(repeated >= low) & (repeated < high)]
            quartiles = np.quantile(inside, (0.25, 0.5, 0.75)).tolist() if len(inside) else None
            classes.append(
                {
                    "kind": kind,
                    "low": low,
                    "high": min(high, 1.0),
                    "images": len(inside),
                    "quartiles": quartiles,
                    "spearman": float(spearmanr(repeated, f1).statistic),
                }
            )
    return classes


if __name__ == "__main__":
    main()
