"""Recovery of hidden recipes by calibration.

    python benchmarks/recovery.py -n 10

Random recipes render a few images each. A calibration that starts from the preset gets these images
without labels. Its recipe is then compared with the hidden one: sizes, coverage and gray levels by
the exact labels of both, point spread and noise by the settings. Errors are written to
docs/results/recovery.json after each recipe.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from results import cpu_seconds, write_results

from nanorender.calibration import parameters as free
from nanorender.calibration.calibrate import CalibrationSettings, calibrate
from nanorender.calibration.corrections import expected_coverage
from nanorender.calibration.views import ViewGeometry
from nanorender.distributions import Constant
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import Recipe, read_recipe
from nanorender.rendering import Sample, render

PIXEL_SIZES_NM = {"tio2": 7.0, "sio2": 5.0}
IMAGES, EDGE_PX, CHECKED = 8, 512, 64
LIMITS = {"size": 0.10, "coverage": 0.15, "noise": 0.15, "blur": 0.15, "gray": 5.0}
RANGES = {
    free.ALBEDO: (0.35, 0.6),
    free.GRAY: (0.06, 0.16),
    free.BRIGHTNESS_SPREAD: (0.05, 0.15),
    free.EDGE: (0.3, 1.0),
    free.BLUR: (0.5, 1.4),
    free.NOISE: (1.0, 4.0),
    free.COUNTS_AT_WHITE: (300.0, 3000.0),
    free.ALONG: (0.0, 0.3),
    free.ACROSS: (0.0, 0.3),
    free.BEAM: (0.5, 0.9),
}
FACTORS = {
    free.DIAMETER: (0.75, 1.35),
    free.DENSITY: (1.0, 2.5),
    free.MEMBERS: (0.5, 2.0),
}
TRANSMISSION_FACTORS = {free.ATTENUATION: (0.6, 1.6)}


class Truth(NamedTuple):
    """Properties of images, by their labels and recipe."""

    diameter_nm: float
    coverage: float
    substrate_level: float
    particle_level: float
    blur_px: float
    noise: tuple[float, float]


def hidden_recipe(name: str, rng: np.random.Generator) -> Recipe:
    """Return a preset at a fixed scale with random parameters and one tone."""
    recipe = read_recipe(name).at_scale(PIXEL_SIZES_NM[name], EDGE_PX)
    camera = recipe.camera.model_copy(
        update={"pixel_size_nm": Constant(value=PIXEL_SIZES_NM[name])}
    )
    tone = {name: Constant(value=value) for name, value in _TONE.items()}
    recipe = recipe.model_copy(
        update={"camera": camera, "detector": recipe.detector.model_copy(update=tone)}
    )
    for parameter, (low, high) in RANGES.items():
        if parameter.read(recipe) is not None:
            recipe = parameter.write(recipe, float(rng.uniform(low, high)))
    factors = FACTORS if recipe.transmission is None else FACTORS | TRANSMISSION_FACTORS
    for parameter, (low, high) in factors.items():
        factor = math.exp(rng.uniform(math.log(low), math.log(high)))
        value = parameter.read(recipe)
        if value is not None:
            recipe = parameter.write(recipe, value * factor)
    return recipe


_TONE = {"gain": 1.0, "gamma": 1.0, "contrast": 1.0, "black_level": 0.0}


def truth_of(recipe: Recipe, samples: list[Sample]) -> Truth:
    """Return sizes, coverage and levels by the exact labels of samples."""
    substrate = np.concatenate([s.image[s.labels == 0] for s in samples])
    particles = np.concatenate([s.image[s.labels > 0] for s in samples])
    whole = [s.truth["diameter_nm"][~s.truth["touches_frame"].astype(bool)] for s in samples]
    levels = float(np.median(substrate)), float(np.median(particles))
    counts, gaussian = free.COUNTS_AT_WHITE.read(recipe) or 0.0, free.NOISE.read(recipe) or 0.0
    shot = 255 / counts if counts > 0 else 0.0
    return Truth(
        diameter_nm=float(np.median(np.concatenate(whole))),
        coverage=float(np.mean([(s.labels > 0).mean() for s in samples])),
        substrate_level=levels[0],
        particle_level=levels[1],
        blur_px=free.BLUR.read(recipe) or 0.0,
        noise=tuple(math.sqrt(gaussian**2 + shot * level) for level in levels),
    )


def errors(found: Truth, hidden: Truth) -> dict[str, float]:
    """Return the errors bounded by LIMITS; for noise and gray, the larger of both levels."""
    return {
        "size": found.diameter_nm / hidden.diameter_nm - 1,
        "coverage": found.coverage / hidden.coverage - 1,
        "noise": max((a / b - 1 for a, b in zip(found.noise, hidden.noise, strict=True)), key=abs),
        "blur": found.blur_px / hidden.blur_px - 1,
        "gray": max(
            found.substrate_level - hidden.substrate_level,
            found.particle_level - hidden.particle_level,
            key=abs,
        ),
    }


class Recovery(NamedTuple):
    """Calibration of one hidden recipe."""

    preset: str
    hidden: Truth
    errors: dict[str, float]
    cpu_s: float


def recovered(count: int, evaluations: int) -> Iterator[Recovery]:
    """Yield the calibration of each random recipe."""
    for number in range(count):
        name = list(PIXEL_SIZES_NM)[number % len(PIXEL_SIZES_NM)]
        recipe = hidden_recipe(name, np.random.default_rng([41, number]))
        samples = [render(recipe, 1000 + number, k) for k in range(IMAGES)]
        images = [_micrograph(sample) for sample in samples]
        settings = CalibrationSettings(evaluations=evaluations, checked_views=2)
        seconds: dict[str, float] = {}
        with cpu_seconds(seconds, "cpu_s"):
            fitted = calibrate(images, read_recipe(name), settings).recipe
        drawn = [render(fitted, 77, k) for k in range(CHECKED)]
        hidden = truth_of(recipe, samples)
        found = truth_of(fitted, drawn)
        share = expected_coverage(fitted, ViewGeometry(EDGE_PX, PIXEL_SIZES_NM[name]), 5)
        wrong = errors(found._replace(coverage=share), hidden)
        yield Recovery(name, hidden, wrong, seconds["cpu_s"])


def _micrograph(sample: Sample) -> Micrograph:
    height, width = sample.image.shape
    whole = (0, height, 0, width)
    return Micrograph(
        sample.image, sample.pixel_size_nm, "known", whole, (height, width), Path("hidden.tif")
    )


def main() -> int:
    """Write and print the errors; return 1 if one exceeds its limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", "--count", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=CalibrationSettings().evaluations)
    asked = parser.parse_args()
    recoveries, missed = [], 0
    for one in recovered(asked.count, asked.evaluations):
        recoveries.append(
            {
                "preset": one.preset,
                "diameter_nm": one.hidden.diameter_nm,
                "coverage": one.hidden.coverage,
                "errors": one.errors,
                "cpu_s": one.cpu_s,
            }
        )
        missed += sum(abs(one.errors[key]) > limit for key, limit in LIMITS.items())
        cells = [f"{key} {value:+.3f}" for key, value in one.errors.items()]
        print(f"{one.preset}, {one.hidden.diameter_nm:.0f} nm: {', '.join(cells)}", flush=True)
        results = {"images": IMAGES, "edge_px": EDGE_PX, "limits": LIMITS, "recipes": recoveries}
        write_results("recovery", results)
    print(f"{missed} of {asked.count * len(LIMITS)} errors exceed their limits", file=sys.stderr)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
