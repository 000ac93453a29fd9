"""Accuracy of the whole pipeline on real micrographs, trained on synthetic images only.

    python benchmarks/real_tio2.py --seeds 3 -o real_tio2

For each seed: render a dataset, train, select the epoch without truth, segment the five images of
`tio2_sem` and score them; then score synthetic images that were held out. True regions under 50 px
are ignored, particles are matched one to one at IoU 0.5. An interrupted benchmark resumes. Results
are written to docs/results/real_tio2.json after each seed; processor time is without that of
rendering. `--baseline` adds the baseline of the paper, trained on the annotated images themselves,
which takes a GPU. The micrographs are not part of the package; without them the benchmark prints
where it expects them.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from results import cpu_seconds, write_results
from scipy.stats import spearmanr
from skimage.filters import threshold_li

from nanorender.files.collection import Collection, Reading, read_collection
from nanorender.files.dataset import read_truth_table
from nanorender.files.tiff import read_labels
from nanorender.generation import generate
from nanorender.recipe import read_recipe
from nanorender.scoring.scores import recall_by_class, score_labels
from nanorender.separation.separate import Separation, separate
from unet.baseline import format_folds, leave_one_out
from unet.data import load_dataset
from unet.devices import divide_cpu
from unet.presets import TrainSettings, preset
from unet.segment import PredictionSettings, segment
from unet.select import RankedEpoch, rank_by_truth, rank_without_truth, select_epoch
from unet.train import train
from unet.validation import validation_images

MICROGRAPHS = Path(__file__).parents[2] / "shared" / "micrographs" / "tio2_sem"
HELD_OUT, HELD_OUT_SEED = 8, 1_000_000
MIN_AREA_PX = 50
SIZE_EDGES_PX = (8.0, 15.0, 25.0, 40.0, 60.0, 1000.0)
VISIBILITY_EDGES = (0.0, 0.25, 0.5, 0.75, 0.999, 1.001)
MEASURES = ("pixel_f1", "object_f1", "found_over_true", "median_size_error")


def score(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Score (found, true) label maps: mean F1 scores, and count and size ratios over all images."""
    scores = [score_labels(found, truth, MIN_AREA_PX) for found, truth in pairs]
    f1 = [(each.pixels.f1, each.objects.f1) for each in scores]
    found = np.concatenate([each.predicted_diameters_px for each in scores])
    true = np.concatenate([each.true_diameters_px for each in scores])
    return np.array(
        [*np.mean(f1, 0), len(found) / len(true), np.median(found) / np.median(true) - 1]
    )


def recalls(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], visibilities: Sequence[np.ndarray]
) -> dict[str, list[dict[str, float]]]:
    """Return number and recall of true particles by diameter in px and by visible fraction.

    Parameters
    ----------
    visibilities : visible fraction of each true label k at index k - 1
    """
    scores = [score_labels(found, truth, 1) for found, truth in pairs]
    is_found = np.concatenate([each.truth_is_found for each in scores])
    diameters = np.concatenate([each.true_diameters_px for each in scores])
    visible = [
        shares[each.matching.counted_truth - 1]
        for each, shares in zip(scores, visibilities, strict=True)
    ]
    return {
        "diameter_px": _classes(diameters, is_found, SIZE_EDGES_PX),
        "visible_fraction": _classes(np.concatenate(visible), is_found, VISIBILITY_EDGES),
    }


def _classes(
    values: np.ndarray, is_found: np.ndarray, edges: Sequence[float]
) -> list[dict[str, float]]:
    """Return number and recall of the true particles in each class of a property."""
    return [
        {
            "from": each.low,
            "to": each.high,
            "particles": each.n_truth,
            "recall": each.n_matched / max(each.n_truth, 1),
        }
        for each in recall_by_class(values, is_found, edges)
    ]


def counted_particles(truth: np.ndarray) -> int:
    """Return the number of true regions that are not ignored."""
    return int((np.bincount(truth.ravel())[1:] >= MIN_AREA_PX).sum())


def classical_baseline(images: Collection) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return label maps of Li's threshold and a distance-transform watershed, with the truth."""
    pairs = []
    for image in images:
        bright = (image.image > threshold_li(image.image)).astype(np.float32)
        pairs.append((separate({"foreground": bright}, Separation()), images.truth(image)))
    return pairs


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the processor time of a stage to that of earlier, interrupted runs of it."""
    path = folder / "cpu_seconds.json"
    seconds: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    with cpu_seconds(seconds, stage):
        yield
    path.write_text(json.dumps(seconds, indent=1))


def chain(
    folder: Path,
    seed: int,
    settings: TrainSettings,
    images: Collection,
    options: argparse.Namespace,
) -> tuple[list[RankedEpoch], list[RankedEpoch]]:
    """Render, train, select and segment; return the epochs ranked without and by the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(options.recipe).at_scale(images.pixel_size_nm, options.image_px)
    generate(recipe, options.count, seed, folder / "dataset", workers=os.cpu_count())
    settings = settings.model_copy(update={"seed": seed})
    validation = validation_images(images)
    with timed(folder, "train"):
        train(load_dataset(folder / "dataset", settings), settings, folder / "run", validation)
    with timed(folder, "select"):
        label_free = rank_without_truth(folder / "run", validation)
        select_epoch(folder / "run", label_free[0].epoch)
    with timed(folder, "segment"):
        averaged = PredictionSettings(averaged=True)
        segment(folder / "run", images, Separation(), folder / "labels", averaged)
    return label_free, rank_by_truth(folder / "run", validation)


def held_out(folder: Path, seed: int, images: Collection, options: argparse.Namespace) -> dict:
    """Return the recall of a trained network on held-out synthetic images."""
    recipe = read_recipe(options.recipe).at_scale(images.pixel_size_nm, options.image_px)
    unseen = folder / "unseen"
    generate(recipe, HELD_OUT, HELD_OUT_SEED + seed, unseen, workers=os.cpu_count())
    synthetic = read_collection(unseen / "images", Reading(truth=str(unseen / "labels")))
    found = folder / "unseen_labels"
    segment(folder / "run", synthetic, Separation(), found, PredictionSettings(averaged=True))
    pairs = [(read_labels(found / f"{image.name}.tif")[0], synthetic.truth(image))
             for image in synthetic]  # fmt: skip
    tables = [read_truth_table(unseen, index) for index in range(HELD_OUT)]
    return recalls(pairs, [columns["visible_fraction"] for columns in tables])


def summary(seeds: Sequence[dict]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation of the measures over the seeds."""
    values = np.array([[seed["scores"][measure] for measure in MEASURES] for seed in seeds])
    return {
        "mean": dict(zip(MEASURES, values.mean(0).tolist(), strict=True)),
        "standard_deviation": dict(zip(MEASURES, values.std(0, ddof=1).tolist(), strict=True)),
    }


def measure_seed(
    folder: Path,
    seed: int,
    settings: TrainSettings,
    images: Collection,
    options: argparse.Namespace,
) -> dict:
    """Run the pipeline with one seed and return its scores."""
    label_free, by_truth = chain(folder, seed, settings, images, options)
    pairs = [(read_labels(folder / "labels" / f"{image.name}.tif")[0], images.truth(image))
             for image in images]  # fmt: skip
    true = {place.epoch: place.score for place in by_truth}
    free = {place.epoch: place.score for place in label_free}
    ranked = len(true) > 2
    rho = spearmanr([free[e] for e in true], [true[e] for e in true])[0] if ranked else None
    return {
        "seed": seed,
        "scores": dict(zip(MEASURES, score(pairs).tolist(), strict=True)),
        "epochs": {
            "kept": len(true),
            "spearman_rho": rho,
            "object_f1_chosen_without_truth": true[label_free[0].epoch],
            "object_f1_last": true[max(true)],
            "object_f1_best": by_truth[0].score,
        },
        "synthetic_recall": held_out(folder, seed, images, options),
        "cpu_s": json.loads((folder / "cpu_seconds.json").read_text()),
    }


def report(out: Path, images: Collection, options: argparse.Namespace) -> None:
    """Run all seeds; write and print the results after each."""
    baseline = score(classical_baseline(images)).tolist()
    results: dict = {
        "recipe": Path(options.recipe).name,
        "preset": Path(options.preset).name,
        "training_images": options.count,
        "images": len(images),
        "particles": sum(counted_particles(images.truth(image)) for image in images),
        "min_area_px": MIN_AREA_PX,
        "classical_baseline": dict(zip(MEASURES, baseline, strict=True)),
        "seeds": [],
    }
    print("threshold (Li), distance watershed:", results["classical_baseline"], flush=True)
    settings = preset(options.preset)
    divide_cpu(settings.batch)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        found = measure_seed(out / f"seed{seed}", seed, settings, images, options)
        results["seeds"].append(found)
        if len(results["seeds"]) > 1:
            results |= summary(results["seeds"])
        print(json.dumps(found, indent=1))
        print(write_results("real_tio2", results), flush=True)


def main() -> None:
    """Parse the options and run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--micrographs", type=Path, default=MICROGRAPHS)
    parser.add_argument("--truth", default="_m")
    parser.add_argument("--recipe", default="tio2", help="preset or TOML file")
    parser.add_argument("--preset", default="cpu", help="training preset or TOML file")
    parser.add_argument("--count", type=int, default=320, help="number of synthetic images")
    parser.add_argument("--image-px", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=Path("real_tio2"))
    options = parser.parse_args()
    if not options.micrographs.is_dir():
        print(f"{options.micrographs} does not exist; give the folder with --micrographs")
        return
    images = read_collection(options.micrographs, Reading(truth=options.truth))
    report(options.out, images, options)
    if options.baseline:
        folds = leave_one_out(images, preset("real"), options.out / "baseline")
        print("\n" + format_folds(folds))


if __name__ == "__main__":
    main()
