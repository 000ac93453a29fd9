"""Scale bars of published micrographs, read and compared with readings by eye.

    python benchmarks/scale_bars.py

The lengths in nm and px in scale_bars.csv were typed by eye from enlarged images before the program
read them, except for a slip of arithmetic in 1736c60650; `none` where there is no bar, no text, or
the bar is cut. Every micrograph whose header has a pixel size is compared with that. The
micrographs are not part of the package.
"""

import argparse
import csv
import time
from pathlib import Path

from results import write_results

from nanorender.files.collection import Reading, find_collection
from nanorender.files.micrograph import read_micrograph
from nanorender.files.scalebars.marks import read_marks, within_marks
from unet.confidence import real_particles
from unet.segment import segment_image

TRUTH = Path(__file__).with_suffix(".csv")
MICROGRAPHS = Path(__file__).parents[2] / "shared" / "micrographs"
TITLES = {
    "sio2_jeol": "SiO2 spheres, JEOL SEM",
    "emps": "EMPS, published micrographs of every kind",
}
HEADERS = "tio2_sem"
LARGEST_ERROR = 0.02


def main() -> None:
    """Read all bars and write the table of errors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--micrographs", type=Path, default=MICROGRAPHS)
    parser.add_argument("--text-images", type=int, default=16, help="images to segment")
    options = parser.parse_args()
    rows = list(csv.DictReader(TRUTH.read_text().splitlines()))
    true_nm = {
        row["image"]: None
        if row["bar_px"] == "none"
        else float(row["length_nm"]) / float(row["bar_px"])
        for row in rows
    }
    results: dict = {"sets": []}
    for folder, title in TITLES.items():
        truth = {name: size for name, size in true_nm.items() if name.startswith(f"{folder}/")}
        results["sets"].append({"title": title, **read_set(options.micrographs, truth)})
    headers = {
        f"{HEADERS}/{path.name}": read_micrograph(path).pixel_size_nm
        for path in sorted((options.micrographs / HEADERS).glob("*.tif"))
        if not path.stem.endswith("_m")
    }
    compared = read_set(options.micrographs, headers)
    results["sets"].append({"title": "TiO2 grains, SEM, against their headers", **compared})
    results["text"] = count_discarded(options.micrographs / "emps", options.text_images)
    for each in (*results["sets"], results["text"]):
        print(each)
    print(write_results("scale_bars", results))


def read_set(micrographs: Path, truth: dict[str, float | None]) -> dict:
    """Read the scale bars of a set of images, and compare them with the truth."""
    errors, false, missed, seconds, used = [], 0, 0, [], []
    for name, true_nm in truth.items():
        began, cpu = time.perf_counter(), time.process_time()
        bar = read_marks(micrographs / name).scale_bar
        seconds.append(time.perf_counter() - began)
        used.append(time.process_time() - cpu)
        if true_nm is None:
            false += bar is not None
            if bar is not None:
                print("false", name, bar)
        elif bar is None:
            missed += 1
            print("not read", name)
        else:
            errors.append(bar.pixel_size_nm / true_nm - 1)
            if abs(errors[-1]) > LARGEST_ERROR / 2:
                print(f"{errors[-1]:+.4f}", name, bar)
    with_bar = sum(size is not None for size in truth.values())
    wrong = sum(abs(error) > LARGEST_ERROR for error in errors)
    return {
        "images": len(truth),
        "bars": with_bar,
        "read": len(errors),
        "wrong": wrong + false,
        "median_error": sorted(abs(error) for error in errors)[len(errors) // 2],
        "largest_error": max(abs(error) for error in errors),
        "seconds": sorted(seconds)[len(seconds) // 2],
        "cpu_s": sorted(used)[len(used) // 2],
    }


def count_discarded(folder: Path, count: int) -> dict:
    """Count the particles of the general model that are text or bars, and real ones among them."""
    images = find_collection(folder, Reading(truth="_m", in_pixels=True))
    paths = images.paths[:: max(1, len(images) // count)][:count]
    found = discarded = real = 0
    for path in paths:
        micrograph = read_micrograph(path)
        labels = segment_image(micrograph.image).labels
        marked = within_marks(labels, read_marks(path).boxes, micrograph.crop)
        truth = images.truth(micrograph)
        matched = real_particles(labels, truth)
        found += len(marked)
        discarded += int(marked.sum())
        real += int((marked & matched).sum())
        print(path.name, len(marked), int(marked.sum()), flush=True)
    return {"images": len(paths), "found": found, "discarded": discarded, "real": real}


if __name__ == "__main__":
    main()
