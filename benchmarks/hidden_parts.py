"""Estimated visible shares and amodal diameters beside the truth of rendered images.

    python benchmarks/hidden_parts.py

Seven recipes render images on which the method was not developed. Their exact label maps, and those
that the general model finds, are measured. The particles found are matched with the true ones;
those cut by the frame do not count. The errors with and without the estimates are written to
docs/results/hidden_parts.json. Takes two minutes on one core.
"""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from results import write_results
from scipy.stats import spearmanr

from nanorender.measuring.measure import PARTLY_HIDDEN, measure
from nanorender.recipe import read_recipe
from nanorender.rendering import Sample, render
from nanorender.scoring.matching import match, overlap_table
from unet.segment import segment_image

PIXEL_SIZES_NM = {
    "tio2": 7.0,
    "sio2": 5.0,
    "layers": 4.0,
    "facets": 2.0,
    "powder": 220.0,
    "magnetite": 0.5,
    "nanocrystals": 0.5,
}
EDGE_PX, SEED = 640, 31  # the method was developed on the seeds 11 and 12
REALLY_HIDDEN = 0.9  # visible share below which a particle should be flagged
LEAST_IOU = 0.5
QUANTILES = {"d10": 0.1, "d50": 0.5}


class Estimates(NamedTuple):
    """Estimates of the particles of a label map, and their truth.

    Attributes
    ----------
    visible, diameter_px : true visible share, and true diameter with the hidden part
    estimated_visible, raw_px, amodal_px : measured share, and diameters without and with the part
        that is estimated to be hidden
    """

    visible: np.ndarray
    diameter_px: np.ndarray
    estimated_visible: np.ndarray
    raw_px: np.ndarray
    amodal_px: np.ndarray


def estimates(sample: Sample, labels: np.ndarray) -> Estimates:
    """Measure a label map, and find the truth of its particles."""
    table = measure(labels, None).set_index("label")
    pairs = match(overlap_table(labels, sample.labels), LEAST_IOU, 1).pairs
    truth = pd.DataFrame(sample.truth).set_index("label")
    truth, found = truth.loc[pairs[:, 1]], table.loc[pairs[:, 0]]
    inside = ~truth["touches_frame"].to_numpy(bool)
    truth, found = truth[inside], found[inside]
    return Estimates(
        np.minimum(truth["visible_fraction"].to_numpy(float), 1.0),
        truth["diameter_nm"].to_numpy(float) / sample.pixel_size_nm,
        found["visible_share"].to_numpy(float),
        found["equivalent_diameter_px"].to_numpy(float),
        found["amodal_diameter_px"].to_numpy(float),
    )


def summary(parts: list[Estimates]) -> dict[str, Any]:
    """Summarize the errors of all particles of a recipe."""
    all_of = Estimates(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    visible, diameter, share, raw, amodal = all_of
    hidden, flagged = visible < REALLY_HIDDEN, share < PARTLY_HIDDEN
    result: dict[str, Any] = {
        "particles": len(visible),
        "hidden": int(hidden.sum()),
        "flagged": int(flagged.sum()),
        "flagged_of_hidden": float(flagged[hidden].mean()),
        "right_flags": float((visible[flagged] < PARTLY_HIDDEN).mean()),
        "rank_correlation": float(spearmanr(visible, share).statistic),
        "raw_share_error": float(np.mean(1 - visible)),
        "share_error": float(np.mean(np.abs(share - visible))),
    }
    for name, sizes in (("raw", raw), ("amodal", amodal)):
        error = np.abs(sizes / diameter - 1)
        result[f"{name}_error_of_hidden"] = float(np.median(error[hidden]))
        for title, quantile in QUANTILES.items():
            ratio = np.quantile(sizes, quantile) / np.quantile(diameter, quantile)
            result[f"{name}_{title}"] = float(ratio - 1)
    return result


def rows(images: int) -> Iterator[dict[str, Any]]:
    """Yield the errors of each recipe, on exact label maps and on those of the general model."""
    for recipe, pixel_size_nm in PIXEL_SIZES_NM.items():
        sharp = read_recipe(recipe).at_scale(pixel_size_nm, EDGE_PX)
        samples = [render(sharp, SEED, index) for index in range(images)]
        for source in ("exact", "general model"):
            maps = [
                sample.labels if source == "exact"
                else segment_image(sample.image, sample.pixel_size_nm).labels
                for sample in samples
            ]  # fmt: skip
            found = summary([estimates(*each) for each in zip(samples, maps, strict=True)])
            row = {"recipe": recipe, "labels": source, **found}
            print(row, flush=True)
            yield row


def main() -> None:
    """Measure the errors and write them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=8, help="images of each recipe")
    asked = parser.parse_args()
    print(write_results("hidden_parts", {"images": asked.images, "rows": list(rows(asked.images))}))


if __name__ == "__main__":
    main()
