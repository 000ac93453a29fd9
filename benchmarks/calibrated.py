"""What calibration reaches on real micrographs: losses, times and sheets of the synthetic halves.

    python benchmarks/calibrated.py tio2 powder -o docs/pictures

The micrographs' licences keep their pixels out of the pictures, not their histograms and spectra.
Without the micrographs, which are no part of the package, it says so and ends.
"""

import argparse
import sys
import time
from pathlib import Path

from nanorender.calibration.calibrate import CalibrationSettings, calibrate
from nanorender.calibration.fitted import in_short
from nanorender.calibration.sheet import write_sheet
from nanorender.files.micrograph import read_micrograph
from nanorender.recipe import read_recipe

MICROGRAPHS = Path(__file__).parents[2] / "shared" / "micrographs"
SERIES = {"tio2": "tio2_sem/*[0-9].tif", "powder": "powder_spheres_sem/*.png"}


def main() -> int:
    """Calibrate each preset on the series that it is like; return 1 if a loss is not halved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="+", choices=SERIES)
    parser.add_argument("--evaluations", type=int, default=CalibrationSettings().evaluations)
    parser.add_argument("-o", "--out", type=Path, default=Path("calibrated"))
    asked = parser.parse_args()
    if not MICROGRAPHS.is_dir():
        print(f"the micrographs are not in {MICROGRAPHS}")
        return 0
    asked.out.mkdir(parents=True, exist_ok=True)
    missed = 0
    for name in asked.presets:
        images = [read_micrograph(path) for path in sorted(MICROGRAPHS.glob(SERIES[name]))]
        began, used = time.perf_counter(), time.process_time()
        settings = CalibrationSettings(evaluations=asked.evaluations)
        fitted = calibrate(images, read_recipe(name), settings)
        took, used = time.perf_counter() - began, time.process_time() - used
        missed += fitted.after.loss() >= fitted.before.loss() / 2
        path = asked.out / f"calibrated_{name}.png"
        views = {f"synthetic, fitted to {SERIES[name].partition('/')[0]}": fitted.synthetic}
        terms = {"before": fitted.before, "after": fitted.after}
        write_sheet(views, fitted.features, terms, path)
        print(
            f"{name}: {len(images)} images, {asked.evaluations} evaluations, "
            f"{in_short(fitted)}, "
            f"{used:.0f} s of CPU, {took:.0f} s: {path}",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
