"""The general model: made from the recipe `any` alone, and scored on real micrographs.

    python benchmarks/general_model.py make -o general
    python benchmarks/general_model.py score -o general

`make` renders the images of both trainings and the held-out ones, trains a network and tunes it
with small steps on images it has not seen, fits the confidence to the held-out images, and writes
nanorender/models/general.safetensors in half precision. Interrupted, it resumes. Rendering takes
0.3 s of a core per image, the first training 7 minutes of an H100, the second 40 minutes of two
cores. `--share 0.001` makes a useless model in a few minutes, for a test of the script.

`score` segments every set of annotated micrographs in ../shared/micrographs once, and writes
docs/results/general_model.json; true regions under 50 px are ignored, and particles are matched one
to one at IoU 0.5. It also draws the held-out synthetic images with the most errors. Micrographs are
not part of the package; sets that are missing are left out. No weight is trained on them, but the
settings of the search and the least confidence were chosen on these sets.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from results import write_results

from nanorender.files.collection import Collection, Reading, find_collection
from nanorender.files.dataset import complete_samples
from nanorender.files.labeled import read_sample
from nanorender.generation import generate
from nanorender.models import general_model
from nanorender.randomization import read_recipe_source
from nanorender.report.overlay import overlay
from nanorender.scoring.scores import LabelScores, recall_by_class, score_labels
from unet.checkpoint import read_model, write_model
from unet.confidence import real_particles
from unet.data import load_dataset
from unet.devices import describe_devices, divide_cpu, training_mesh
from unet.predict import Model, load_model
from unet.presets import preset
from unet.reliability import fit_model, format_fit, reliability
from unet.run_folder import MODEL_NAME, RUN_NAME, read_log
from unet.segment import segment_image
from unet.train import train

MICROGRAPHS = Path(__file__).parents[2] / "shared" / "micrographs"
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "general_model.png"
HELD_OUT, HELD_OUT_COUNT, HELD_OUT_SEED = "held-out", 240, 1
LEAST_HELD_OUT = 8
MIN_AREA_PX = 50
DIAMETER_EDGES_PX = (8.0, 12.0, 20.0, 40.0, 80.0, 160.0, 1000.0)
FAILURES, TILE_PX, COLORS = 12, 256, 128


class Training(NamedTuple):
    """A training: preset and name of its folder, number and seed of its images, where it starts."""

    preset: str
    images: int
    seed: int
    initial: str | None


TRAININGS = (Training("general", 6000, 0, None), Training("tune", 2400, 2, "general"))


class Set(NamedTuple):
    """A set of annotated micrographs: its folder, the suffix of the annotations, its title."""

    folder: str
    truth: str
    title: str


SETS = (
    Set("emps", "_m", "EMPS, published micrographs of every kind"),
    Set("sio2_jeol", "_m", "SiO2 spheres, SEM"),
    Set("tio2_sem", "_m", "TiO2 grains, SEM"),
    Set("powder_spheres_sem", "_labels", "metal powder, SEM"),
)


def make(options: argparse.Namespace) -> None:
    """Render, train, fit the confidence, and write the shipped file."""
    recipe, out, share = read_recipe_source("any"), options.out, options.share
    for each in TRAININGS:
        folder = out / each.preset
        count = max(round(share * each.images), 1)
        generate(recipe, count, each.seed, folder / "dataset", workers=os.cpu_count())
        settings = preset(each.preset)
        steps = max(round(share * settings.steps_per_epoch), 1)
        settings = settings.model_copy(update={"steps_per_epoch": steps})
        divide_cpu(settings.batch)
        print(each, describe_devices(training_mesh(settings.batch)), flush=True)
        samples = load_dataset(folder / "dataset", settings)
        initial = None if each.initial is None else out / each.initial / "run"
        train(samples, settings, folder / "run", on_progress=_show, initial=initial)
    count = max(round(share * HELD_OUT_COUNT), LEAST_HELD_OUT)
    generate(recipe, count, HELD_OUT_SEED, out / HELD_OUT, workers=os.cpu_count())
    run = out / TRAININGS[-1].preset / "run"
    fit = fit_model(run, out / HELD_OUT, threshold=options.min_confidence)
    print(*format_fit(fit), sep="\n")
    card, weights = read_model(run / MODEL_NAME)
    write_model(options.model, card, weights, half=True)
    print(f"{options.model}, {options.model.stat().st_size / 2**20:.1f} MiB")


def _show(now) -> None:
    if now.step % 500 == 0:
        print(now, flush=True)


def score(options: argparse.Namespace) -> None:
    """Score the shipped model on real micrographs and on held-out synthetic images."""
    model = load_model(options.model)
    card = model.card
    assert card.confidence is not None
    results: dict = {
        "trainings": [
            describe_training(each, options.out / each.preset / "run") for each in TRAININGS
        ],
        "held_out_images": len(complete_samples(options.out / HELD_OUT)),
        "weights": int(sum(array.size for array in read_model(options.model)[1].values())),
        "file_mib": options.model.stat().st_size / 2**20,
        "min_confidence": card.confidence.threshold,
        "sets": [],
    }
    for each in SETS:
        folder = options.micrographs / each.folder
        if not folder.is_dir():
            print(f"{folder} does not exist; give its parent with --micrographs")
            continue
        images = find_collection(folder, Reading(truth=each.truth, scale_needed=False))
        results["sets"].append({"title": each.title, **score_set(model, images)})
        print(results["sets"][-1], flush=True)
    results["held_out"] = score_held_out(model, options.out / HELD_OUT)
    print(write_results("general_model", results))


def describe_training(training: Training, run: Path) -> dict:
    """Describe a training by its settings, the loss of its last epoch, device and duration."""
    log, record = read_log(run), json.loads((run / RUN_NAME).read_text())
    settings = record["training"]
    return {
        "preset": training.preset,
        "images": training.images,
        "steps": log[-1].step,
        "batch": settings["batch"],
        "patch_px": settings["patch_px"],
        "loss": log[-1].loss["foreground"],
        "device": record["device"],
        "minutes": sum(entry.seconds for entry in log) / 60,
    }


def score_set(model: Model, images: Collection) -> dict:
    """Score a set of micrographs; precision and recall are of all its particles."""
    scores, confidence, real, seconds, pixels = [], [], [], 0.0, 0
    for image in images:
        began = time.process_time()
        found = segment_image(image.image, model=model)
        if scores:  # the first image compiles
            seconds += time.process_time() - began
            pixels += image.image.size
        truth = images.truth(image)
        scores.append(score_labels(found.labels, truth, MIN_AREA_PX))
        confidence.append(found.confidence)
        real.append(real_particles(found.labels, truth))
    summary = _summary(scores)
    return summary | {
        "reliability": reliability(np.concatenate(confidence), np.concatenate(real)),
        "cpu_s_per_megapixel": seconds / pixels * 1e6 if pixels else None,
    }


def score_held_out(model: Model, dataset: Path) -> dict:
    """Score synthetic images that were held out, and draw those with the most errors."""
    scores, tiles = [], []
    for index in complete_samples(dataset):
        image, truth, _, _ = read_sample(dataset, index)
        found = segment_image(image, model=model)
        scores.append(score_labels(found.labels, truth, MIN_AREA_PX))
        tiles.append((image, found.labels, truth))
    wrong = [k for k, each in enumerate(scores) if each.objects.n_truth + each.objects.n_predicted]
    worst = sorted(wrong, key=lambda k: (scores[k].objects.f1, k))[:FAILURES]
    draw_failures([tiles[k] for k in worst])
    found = np.concatenate([each.truth_is_found for each in scores])
    diameters = np.concatenate([each.true_diameters_px for each in scores])
    classes = recall_by_class(diameters, found, DIAMETER_EDGES_PX)
    recalls = [
        {"from_px": each.low, "to_px": each.high, "particles": each.n_truth, "recall": each.recall}
        for each in classes
    ]
    return _summary(scores) | {"recall_by_diameter": recalls}


def _summary(scores: list[LabelScores]) -> dict:
    found = sum(each.objects.n_predicted for each in scores)
    true = sum(each.objects.n_truth for each in scores)
    matched = sum(each.objects.n_matched for each in scores)
    return {
        "images": len(scores),
        "particles": true,
        "object_f1": float(np.mean([each.objects.f1 for each in scores if each.objects.n_truth])),
        "precision": matched / max(found, 1),
        "recall": matched / max(true, 1),
    }


def draw_failures(samples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Draw images with what was found, above what is there, in rows of six."""
    size = (TILE_PX, TILE_PX)
    columns = []
    for image, found, truth in samples:
        drawn = [overlay(image, found), overlay(image, truth)]
        tiles = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in drawn]
        columns.append(np.vstack(tiles))
    rows = [np.hstack(columns[k : k + 6]) for k in range(0, len(columns), 6)]
    rows = [row for row in rows if row.shape == rows[0].shape]
    Image.fromarray(np.vstack(rows)).quantize(COLORS).save(PICTURE, optimize=True)


def main() -> None:
    """Parse the options and run the stage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stage", choices=("make", "score"))
    parser.add_argument("-o", "--out", type=Path, default=Path("general"))
    parser.add_argument("--model", type=Path, default=general_model(), help="file to write or read")
    parser.add_argument("--share", type=float, default=1.0, help="of images and steps, for a test")
    parser.add_argument("--min-confidence", type=float, default=0.7)
    parser.add_argument("--micrographs", type=Path, default=MICROGRAPHS)
    options = parser.parse_args()
    (make if options.stage == "make" else score)(options)


if __name__ == "__main__":
    main()
