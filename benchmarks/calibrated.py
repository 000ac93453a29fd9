"""Calibration on real micrographs: loss before and after, times, sheets of the synthetic images.

    python benchmarks/calibrated.py tio2 powder -o docs/pictures

The sheets show histograms and spectra of the micrographs but none of their pixels, which their
licenses do not allow. Losses and times are written to docs/results/calibrated.json. The micrographs
are not part of the package; without them the benchmark prints where it expects them and exits.
"""

import argparse
import sys
from pathlib import Path

from results import add_results, cpu_seconds

from nanorender.calibration.calibrate import CalibrationSettings, calibrate
from nanorender.calibration.fitted_recipe import loss_summary, write_sheet
from nanorender.files.micrograph import read_micrograph
from nanorender.recipe import read_recipe

MICROGRAPHS = Path(__file__).parents[2] / "shared" / "micrographs"
SERIES = {"tio2": "tio2_sem/*[0-9].tif", "powder": "powder_spheres_sem/*.png"}


def main() -> int:
    """Calibrate each preset on its series; return 1 if a loss is not halved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="+", choices=SERIES)
    parser.add_argument("--evaluations", type=int, default=CalibrationSettings().evaluations)
    parser.add_argument("-o", "--out", type=Path, default=Path("calibrated"))
    asked = parser.parse_args()
    if not MICROGRAPHS.is_dir():
        print(f"{MICROGRAPHS} does not exist; put the micrographs there")
        return 0
    asked.out.mkdir(parents=True, exist_ok=True)
    missed = 0
    for name in asked.presets:
        images = [read_micrograph(path) for path in sorted(MICROGRAPHS.glob(SERIES[name]))]
        settings = CalibrationSettings(evaluations=asked.evaluations)
        seconds: dict[str, float] = {}
        with cpu_seconds(seconds, "cpu_s"):
            fitted = calibrate(images, read_recipe(name), settings)
        missed += fitted.after.loss() >= fitted.before.loss() / 2
        path = asked.out / f"calibrated_{name}.png"
        views = {f"synthetic, fitted to {SERIES[name].partition('/')[0]}": fitted.synthetic_views}
        write_sheet(fitted, views, path)
        print(
            f"{name}: {len(images)} images, {asked.evaluations} evaluations, "
            f"{loss_summary(fitted)}, {seconds['cpu_s']:.0f} s of CPU time: {path}",
            flush=True,
        )
        results = {
            "series": SERIES[name].partition("/")[0],
            "images": len(images),
            "evaluations": asked.evaluations,
            "loss_before": fitted.before.loss(),
            "loss_after": fitted.after.loss(),
            "noise_floor": fitted.noise_floor,
            **seconds,
        }
        add_results("calibrated", {name: results}, f"python benchmarks/calibrated.py {name}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
