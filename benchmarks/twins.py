"""Corrected sizes of synthetic and real studies beside their truth.

    python benchmarks/twins.py study 0 2 -o build/twins &
    python benchmarks/twins.py study 1 2 -o build/twins
    python benchmarks/twins.py real -o build/twins
    python benchmarks/twins.py write -o build/twins

Recipes of four kinds of SEM images with hidden settings render three to ten images each, and then
recipes of three kinds of TEM images. The commands `segment` and `twins` get these images and the
preset that the settings were changed in. `study I N` does every N-th of 60 and 9 studies from the
I-th, and `real` the annotated micrographs beside the checkout; finished ones are kept. `write`
collects their errors in docs/results/twins.json.

Errors of a correction are those against the particles that the images show: the part of the error
that segmentation makes. Intervals also cover which particles the images happen to show, so they are
compared with the truth of the recipe, on 60 further images.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from recovery import PIXEL_SIZES_NM, hidden_recipe
from results import cpu_seconds, write_results
from scipy.special import logit

from nanorender.correction.correction import STATISTICS, StudySizes, correct, share_below
from nanorender.correction.record import read_twins
from nanorender.correction.response import pool_twins
from nanorender.correction.study import LEAST_PX
from nanorender.correction.unfolding import WeightedSizes
from nanorender.files.annotation import find_truth
from nanorender.files.atomic import write_text
from nanorender.files.collection import Reading, find_collection
from nanorender.files.tiff import write_image
from nanorender.measuring.measure import measure
from nanorender.models import general_model
from nanorender.recipe import Recipe
from nanorender.rendering import render
from nanorender.separation.separate import Separation
from nanorender.twins.study import Study, read_study
from nanorender.twins.twins import TwinSettings, make_twins
from unet.segment import PredictionSettings, segment, segment_as_recorded

STUDIES, TRANSMISSION_STUDIES, EDGE_PX, POPULATION = 60, 9, 512, 60
CHOSEN_ON = 31  # first studies, on which the method was chosen
KINDS = {"tio2": 7.0, "sio2": 5.0, "powder": 220.0, "facets": 2.0}  # nm a pixel
TRANSMISSION_KINDS = {"gold": 0.5, "magnetite": 0.5, "nanocrystals": 0.5}
LIMIT_QUANTILE = 0.4  # of the true sizes: the share below it is corrected
MICROGRAPHS = Path(__file__).parents[2] / "shared" / "micrographs"
REAL = {  # suffix of the annotations, crop, pixel size and recipe
    "tio2_sem": ("_m", (0, 712, 0, 1024), None, "tio2"),
    "sio2_jeol": ("_m", (0, 956, 0, 1280), None, "layers"),
}
QUANTITY = "equivalent_diameter"
LARGEST_GRAY, LARGEST_SATURATED = 255, 0.03  # share of saturated pixels


def diameters_px(labels: np.ndarray) -> np.ndarray:
    """Return the equivalent diameters of a label map's particles."""
    areas = np.bincount(labels.ravel())[1:]
    return np.sqrt(4 / np.pi * areas[areas > 0])


def values(sizes: np.ndarray, area: float, limit: float) -> dict[str, float]:
    """Return the statistics of sizes that count."""
    counted = sizes[sizes >= LEAST_PX]
    all_of = WeightedSizes(counted, np.ones(len(counted)))
    statistics = {**STATISTICS, "share": share_below(limit)}
    return {name: one.compute(all_of, area) for name, one in statistics.items()}


def corrected(study: Study, folder: Path, base: str, limit: float) -> dict[str, Any]:
    """Make the twins of a study, and return raw and corrected statistics in pixels."""
    find = segment_as_recorded(general_model(), study.record)
    record = make_twins(study, base, TwinSettings(), find, folder)
    response = pool_twins(read_twins(folder, record), QUANTITY, [1.0] * len(record.images))
    sizes = [table[f"{QUANTITY}_px"].to_numpy(float) for table in study.tables]
    image_of = np.repeat(np.arange(len(sizes)), [len(one) for one in sizes])
    areas = np.array([image.micrograph_px for image in record.images], float)
    found = correct(
        StudySizes(np.concatenate(sizes), image_of, areas),
        response,
        LEAST_PX,
        {**STATISTICS, "share": share_below(limit)},
        0.0,
        np.random.default_rng(0),
    )
    return {
        "loss": record.loss,
        "noise_floor": record.noise_floor,
        "statistics": {
            name: {
                "raw": one.raw,
                "corrected": one.corrected.value,
                "low": one.corrected.low,
                "high": one.corrected.high,
                "sampling": one.budget.sampling,
                "response": one.budget.response,
                "model": one.budget.model,
            }
            for name, one in found.items()
        },
    }


def with_hidden_settings(kind: str, number: int) -> Recipe:
    """Return a preset with random settings, of which the correction knows nothing.

    Settings that saturate the detector are drawn again, as a microscopist would change the gain.
    """
    PIXEL_SIZES_NM.update(KINDS | TRANSMISSION_KINDS)
    rng = np.random.default_rng([43, number])
    while True:
        recipe = hidden_recipe(kind, rng)
        if (render(recipe, 0, 0).image == LARGEST_GRAY).mean() < LARGEST_SATURATED:
            return recipe


def synthetic_study(number: int, folder: Path) -> dict[str, Any]:
    """Return truth, raw and corrected statistics of a study with hidden settings."""
    kinds = list(KINDS if number < STUDIES else TRANSMISSION_KINDS)
    kind = kinds[number % len(kinds)]
    recipe = with_hidden_settings(kind, number)
    images = int(np.random.default_rng([77, number]).integers(3, 11))
    shown = []
    for index in range(images):
        sample = render(recipe, 5000 + number, index)
        shown.append(diameters_px(sample.labels))
        path = folder / "images" / f"image_{index}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, sample.image, sample.pixel_size_nm)
    further = [
        diameters_px(render(recipe, 9000 + number, index).labels) for index in range(POPULATION)
    ]
    sizes, all_sizes = np.concatenate(shown), np.concatenate(further)
    limit = float(np.quantile(all_sizes[all_sizes >= LEAST_PX], LIMIT_QUANTILE))
    study = segmented(folder / "images", folder / "labels", Reading())
    seconds: dict[str, float] = {}
    with cpu_seconds(seconds, "cpu_s"):
        result = corrected(study, folder / "twins", kind, limit)
    return {
        "kind": kind,
        "images": images,
        "particles": int((sizes >= LEAST_PX).sum()),
        "limit_px": limit,
        "shown": values(sizes, images * EDGE_PX**2, limit),
        "population": values(all_sizes, POPULATION * EDGE_PX**2, limit),
        **result,
        **seconds,
    }


def segmented(images: Path, labels: Path, reading: Reading) -> Study:
    """Segment a folder by the general model, once."""
    segment(
        general_model(),
        find_collection(images, reading),
        Separation(),
        labels,
        PredictionSettings(),
    )
    return read_study(labels)


def real_study(name: str, folder: Path) -> dict[str, Any]:
    """Return truth, raw and corrected statistics of annotated micrographs, in pixels."""
    suffix, crop, pixel_size_nm, base = REAL[name]
    reading = Reading(pixel_size_nm, pixel_size_nm is None, crop, suffix)
    study = segmented(MICROGRAPHS / name, folder / "labels", reading)
    sizes = np.concatenate(
        [
            measure(truth, None)[f"{QUANTITY}_px"].to_numpy(float)
            for micrograph in study.micrographs
            if (truth := find_truth(micrograph, suffix)) is not None
        ]
    )
    area = float(sum(micrograph.image.size for micrograph in study.micrographs))
    limit = float(np.quantile(sizes[sizes >= LEAST_PX], LIMIT_QUANTILE))
    result = corrected(study, folder / "twins", base, limit)
    return {
        "kind": name,
        "images": len(study.names),
        "particles": int((sizes >= LEAST_PX).sum()),
        "shown": values(sizes, area, limit),
        **result,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarize errors and coverage of synthetic studies by statistic."""
    result = {}
    for name in rows[0]["statistics"]:
        raw, after, covered, covered_raw = [], [], [], []
        for row in rows:
            one, shown = row["statistics"][name], row["shown"][name]
            raw.append(abs(one["raw"] / shown - 1))
            after.append(abs(one["corrected"] / shown - 1))
            covered.append(one["low"] <= row["population"][name] <= one["high"])
            scale = logit if name == "share" else np.log
            away = abs(scale(one["raw"]) - scale(row["population"][name]))
            covered_raw.append(away <= 1.96 * one["sampling"])
        result[name] = {
            "raw_error": float(np.median(raw)),
            "corrected_error": float(np.median(after)),
            "raw_error_90": float(np.quantile(raw, 0.9)),
            "corrected_error_90": float(np.quantile(after, 0.9)),
            "coverage": float(np.mean(covered)),
            "raw_coverage": float(np.mean(covered_raw)),
        }
    return result


def finished(folder: Path, name: str) -> dict[str, Any] | None:
    """Read the result of a study that was done before."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def main() -> None:
    """Correct studies, or write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=("study", "real", "write"))
    parser.add_argument("part", nargs="*", type=int, help="I N: every N-th study from the I-th")
    parser.add_argument("-o", "--out", type=Path, default=Path("build/twins"))
    options = parser.parse_args()
    if options.task == "write":
        numbers = range(STUDIES + TRANSMISSION_STUDIES)
        rows = [row for n in numbers if (row := finished(options.out, f"study_{n}"))]
        sem = [row for row in rows if row["kind"] in KINDS]
        tem = [row for row in rows if row["kind"] in TRANSMISSION_KINDS]
        real = {name: row for name in REAL if (row := finished(options.out, name))}
        by_kind = {
            kind: summary(some)
            for kind in KINDS | TRANSMISSION_KINDS
            if (some := [r for r in rows if r["kind"] == kind])
        }
        result = {
            "all": summary(sem),
            "chosen_on": CHOSEN_ON,
            "held_out": summary(sem[CHOSEN_ON:]),
            "transmission": summary(tem) if tem else None,
            "transmission_studies": len(tem),
            "by_kind": by_kind,
            "studies": rows,
            "real": real,
        }
        print(write_results("twins", result))
        return
    if options.task == "real":
        jobs = {name: lambda folder, name=name: real_study(name, folder) for name in REAL}
    else:
        first, step = options.part or (0, 1)
        jobs = {
            f"study_{n}": lambda folder, n=n: synthetic_study(n, folder)
            for n in range(first, STUDIES + TRANSMISSION_STUDIES, step)
        }
    for name, work in jobs.items():
        if finished(options.out, name) is None:
            result = work(options.out / name)
            write_text(options.out / f"{name}.json", json.dumps(result, indent=1) + "\n")
        row = finished(options.out, name)
        if row is not None:
            errors = {
                key: f"{one['raw'] / row['shown'][key] - 1:+.1%} -> "
                f"{one['corrected'] / row['shown'][key] - 1:+.1%}"
                for key, one in row["statistics"].items()
            }
            print(name, row["kind"], row["loss"], errors, file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
