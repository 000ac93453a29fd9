"""What the whole chain reaches on real micrographs, from synthetic training only.

    python benchmarks/real_tio2.py --seeds 3 -o real_tio2

For each seed: renders a dataset, trains, chooses the epoch without truth, segments the five images
of `tio2_sem`, and scores them; and does the same for synthetic images that were held out. True
regions under 50 px are ignored, particles are matched one to one at IoU 0.5. Stopped and started
again, it goes on where it was, and times add up. `--baseline` adds the paper's baseline, trained on
the annotated images themselves, which takes a GPU. Without the micrographs, which are no part of
the package, it says so and ends.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from skimage.filters import threshold_li

from nanorender.files.collection import Collection, Reading, read_collection
from nanorender.files.dataset import read_truth_table
from nanorender.files.segmentation import read_label_map
from nanorender.generate import generate
from nanorender.recipe import read_recipe
from nanorender.scoring.matching import match, object_scores, pixel_scores
from nanorender.scoring.overlaps import overlap_table
from nanorender.separation.separate import Separation, separate
from unet.baseline import leave_one_out, table
from unet.data import load_dataset
from unet.devices import divide_cpu
from unet.presets import TrainSettings, preset
from unet.segment import Prediction, segment
from unet.select import RankedEpoch, rank_by_truth, rank_without_truth, select_epoch
from unet.train import train
from unet.validation import validation_images

MICROGRAPHS = Path(__file__).parents[2] / "shared" / "micrographs" / "tio2_sem"
HELD_OUT, HELD_OUT_SEED = 8, 1_000_000
MIN_AREA_PX = 50
SIZE_EDGES_PX = (8, 15, 25, 40, 60, 1000)
VISIBILITY_EDGES = (0.0, 0.25, 0.5, 0.75, 0.999, 1.001)
MEASURES = ("pixel F1", "object F1@0.5", "found/true", "median size error")
MUST = (0.95, 0.86, 1.0, 0.05)


def score(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the measures of (found, true) label maps: F1 in the mean, the others of all images."""
    diameters: list[list[np.ndarray]] = [[], []]
    f1 = []
    for found, truth in pairs:
        overlaps = overlap_table(found, truth)
        matching = match(overlaps, 0.5, MIN_AREA_PX)
        areas = (overlaps.predicted_area, overlaps.truth_area)
        counted = (matching.counted_predicted, matching.counted_truth)
        for sizes, area, labels in zip(diameters, areas, counted, strict=True):
            sizes.append(np.sqrt(4 / np.pi * area[labels]))
        f1.append((pixel_scores(found, truth).f1, object_scores(found, truth).f1))
    found, true = (np.concatenate(sizes) for sizes in diameters)
    return np.array(
        [*np.mean(f1, 0), len(found) / len(true), np.median(found) / np.median(true) - 1]
    )


def recalls(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], visibilities: Sequence[np.ndarray]
) -> dict[str, list[tuple[str, int, float]]]:
    """Return number and recall of true particles by class of diameter in px and of visible share.

    Parameters
    ----------
    visibilities: visible share of each true label, by label less one
    """
    rows = []
    for (found, truth), visible in zip(pairs, visibilities, strict=True):
        overlaps = overlap_table(found, truth)
        matched = np.zeros(len(overlaps.truth_area), bool)
        matched[match(overlaps, 0.5, 1).pairs[:, 1]] = True
        there = np.flatnonzero(overlaps.truth_area)[1:]
        diameter = np.sqrt(4 / np.pi * overlaps.truth_area[there])
        rows.append(np.stack([diameter, visible[there - 1], matched[there]]))
    diameter, visible, matched = np.concatenate(rows, axis=1)
    return {
        name: [
            (f"{low:g} to {high:g}", chosen.sum(), matched[chosen].sum() / max(chosen.sum(), 1))
            for low, high in pairwise(edges)
            for chosen in [(values >= low) & (values < high)]
        ]
        for name, values, edges in (
            ("diameter, px", diameter, SIZE_EDGES_PX),
            ("visible share", visible, VISIBILITY_EDGES),
        )
    }


def lab_way(images: Collection) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what a threshold after Li and a watershed of distances find, with the truth."""
    pairs = []
    for image in images:
        bright = (image.image > threshold_li(image.image)).astype(np.float32)
        pairs.append((separate({"foreground": bright}, Separation()), images.truth(image)))
    return pairs


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the seconds of a stage to those that earlier runs of it took."""
    path = folder / "seconds.json"
    begun = time.perf_counter()
    yield
    seconds = json.loads(path.read_text()) if path.exists() else {}
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - begun
    path.write_text(json.dumps(seconds, indent=1))


def chain(
    folder: Path,
    seed: int,
    settings: TrainSettings,
    images: Collection,
    options: argparse.Namespace,
) -> tuple[list[RankedEpoch], list[RankedEpoch]]:
    """Render, train, choose and segment; return the epochs ranked without and by the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(options.recipe).at_scale(images.pixel_size_nm, options.image_px)
    with timed(folder, "render"):
        generate(recipe, options.count, seed, folder / "dataset", workers=os.cpu_count())
    settings = settings.model_copy(update={"seed": seed})
    validation = validation_images(images)
    with timed(folder, "train"):
        train(load_dataset(folder / "dataset", settings), settings, folder / "run", validation)
    with timed(folder, "select"):
        label_free = rank_without_truth(folder / "run", validation)
        select_epoch(folder / "run", label_free[0].epoch)
    with timed(folder, "segment"):
        averaged = Prediction(averaged=True)
        segment(folder / "run", images, Separation(), folder / "labels", averaged)
    return label_free, rank_by_truth(folder / "run", validation)


def held_out(folder: Path, seed: int, images: Collection, options: argparse.Namespace) -> dict:
    """Return the recall of a trained network on synthetic images that it never saw."""
    recipe = read_recipe(options.recipe).at_scale(images.pixel_size_nm, options.image_px)
    unseen = folder / "unseen"
    generate(recipe, HELD_OUT, HELD_OUT_SEED + seed, unseen, workers=os.cpu_count())
    synthetic = read_collection(unseen / "images", Reading(truth=str(unseen / "labels")))
    found = folder / "unseen_labels"
    segment(folder / "run", synthetic, Separation(), found, Prediction(averaged=True))
    pairs = [(read_label_map(found / f"{image.name}.tif")[0], synthetic.truth(image))
             for image in synthetic]  # fmt: skip
    tables = [read_truth_table(unseen, index) for index in range(HELD_OUT)]
    return recalls(pairs, [columns["visible_fraction"] for columns in tables])


def row(name: str, values: np.ndarray, spread: np.ndarray | None = None) -> str:
    """Return a row of the table in Markdown."""
    signs = ("", "", "", "+")
    cells = [f"{value:{sign}.3f}" for value, sign in zip(values, signs, strict=True)]
    if spread is not None:
        cells = [f"{cell} ± {each:.3f}" for cell, each in zip(cells, spread, strict=True)]
    return f"| {name} | " + " | ".join(cells) + " |"


def report(out: Path, images: Collection, options: argparse.Namespace) -> None:
    """Run all seeds and print the tables."""
    print(f"| | {' | '.join(MEASURES)} |\n|---|---|---|---|---|")
    print(row("threshold (Li), distance watershed", score(lab_way(images))))
    settings = preset(options.preset)
    divide_cpu(settings.batch)
    every, correlations, recalled, minutes = [], [], [], []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        folder = out / f"seed{seed}"
        label_free, by_truth = chain(folder, seed, settings, images, options)
        pairs = [(read_label_map(folder / "labels" / f"{image.name}.tif")[0], images.truth(image))
                 for image in images]  # fmt: skip
        every.append(score(pairs))
        print(row(f"{options.preset}, seed {seed}", every[-1]), flush=True)
        true = {place.epoch: place.score for place in by_truth}
        free = {place.epoch: place.score for place in label_free}
        last, chosen = max(true), label_free[0].epoch
        rho = spearmanr([free[e] for e in true], [true[e] for e in true])[0] if len(true) > 2 else 0
        correlations.append((rho, true[chosen], true[last], by_truth[0].score))
        recalled.append(held_out(folder, seed, images, options))
        seconds = json.loads((folder / "seconds.json").read_text())
        minutes.append(sum(seconds.values()) / 60)
    if len(every) > 1:
        name = f"{options.preset}, mean of {len(every)} seeds ± standard deviation"
        print(row(name, np.mean(every, 0), np.std(every, axis=0, ddof=1)))
    print(row("must (found/true 0.95 to 1.05)", np.array(MUST)))
    each = ", ".join(f"{value:.1f}" for value in minutes)
    print(f"\nminutes of rendering, training, choosing and segmenting, by seed: {each}")
    print("\n| seed | Spearman's rho | object F1: chosen label-free | last epoch | best epoch |")
    print("|---|---|---|---|---|")
    for seed, values in enumerate(correlations, options.first_seed):
        print(f"| {seed} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    for name in recalled[0]:
        print(f"\n| {name} | particles, by seed | recall, by seed |\n|---|---|---|")
        for classes in zip(*(seed[name] for seed in recalled), strict=True):
            counts = ", ".join(str(count) for _, count, _ in classes)
            shares = ", ".join(f"{share:.2f}" for _, _, share in classes)
            print(f"| {classes[0][0]} | {counts} | {shares} |")


def main() -> None:
    """Parse the options, and run what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--micrographs", type=Path, default=MICROGRAPHS)
    parser.add_argument("--truth", default="_m")
    parser.add_argument("--recipe", default="tio2", help="preset or TOML file")
    parser.add_argument("--preset", default="cpu", help="of the training, or TOML file")
    parser.add_argument("--count", type=int, default=320, help="synthetic images")
    parser.add_argument("--image-px", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=Path("real_tio2"))
    options = parser.parse_args()
    if not options.micrographs.is_dir():
        print(f"{options.micrographs} is not here: nothing to compare with")
        return
    images = read_collection(options.micrographs, Reading(truth=options.truth))
    report(options.out, images, options)
    if options.baseline:
        folds = leave_one_out(images, preset("real"), options.out / "baseline")
        print("\n" + table(folds))


if __name__ == "__main__":
    main()
