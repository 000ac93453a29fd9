"""What the script of the page needs to compute the sizes again when particles are struck out."""

import json
from collections.abc import Collection, Sequence

import numpy as np
from markupsafe import Markup

from nanorender.files.particlechoice import FORMAT
from nanorender.report.excerpt import MAX_PARTICLES
from nanorender.report.figures import comparable_true_sizes, size_classes
from nanorender.scoring.results import ImageResult, particle_table
from nanorender.statistics.nanoscale import DECISIVE_SHARE, LIMIT_NM
from nanorender.statistics.sampling import FieldOfView, frame_weights
from nanorender.statistics.summary import SHARE_QUANTITIES, Summary
from nanorender.statistics.uncertainty import coverage_factor


def browser_data(
    results: Sequence[ImageResult], summary: Summary, pictured: Collection[int]
) -> Markup:
    """Collect the sizes and weights of all particles, including those struck out.

    Of more than `MAX_PARTICLES`, only those of the images that are shown are collected, and the
    sizes cannot be computed again.

    Parameters
    ----------
    results : images with their particle tables
    summary : statistics of all images
    pictured : indices of the images that the page shows

    Returns
    -------
    JSON object that can stand in a <script> element
    """
    settings, unit = summary.settings, summary.unit
    is_complete = has_all_particles(results)
    included = range(len(results)) if is_complete else sorted(pictured)
    table = particle_table([results[index] for index in included])
    shares = SHARE_QUANTITIES if unit == "nm" else ()
    data = {
        "format": FORMAT,
        "isComplete": is_complete,
        "unit": unit,
        "confidence": settings.confidence,
        "coverageFactor": coverage_factor(settings.confidence),
        "resamples": settings.resamples,
        "resampled": "images" if len(results) >= settings.least_images else "particles",
        "pixelSizeUncertainty": settings.pixel_size_uncertainty,
        "limit": LIMIT_NM,
        "decisiveShare": DECISIVE_SHARE,
        "classEdges": size_classes(summary, comparable_true_sizes(results, summary)).tolist(),
        "images": [
            {
                "name": result.name,
                "labelsSha256": result.labels_sha256,
                "area": _field(result).area,
                "pixelSize": result.pixel_size_nm,
            }
            if index in included
            else None
            for index, result in enumerate(results)
        ],
        "particles": {
            "image": np.repeat(
                included, [results[index].n_particles for index in included]
            ).tolist(),
            "label": table["label"].tolist(),
            "size": table[f"{settings.quantity}_{unit}"].tolist(),
            "area": table[f"area_{unit}2"].tolist(),
            "weight": [
                float(weight)
                for result in (results[index] for index in included)
                for weight in frame_weights(result.table, _field(result), settings.frame_correction)
            ],
            # By volume, the size statistics have another weight than counts and shares.
            "volume": (
                [edge**3 for edge in table[f"equivalent_diameter_{unit}"].tolist()]
                if settings.weighting == "volume"
                else None
            ),
            "shares": {name: table[f"{name}_{unit}"].tolist() for name in shares},
        },
        "struckOut": [
            sorted(result.struck_out) if index in included else []
            for index, result in enumerate(results)
        ],
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def has_all_particles(results: Sequence[ImageResult]) -> bool:
    """Return whether the page holds all particles, so that they can be struck out there.

    Parameters
    ----------
    results : images of a study

    Returns
    -------
    whether there are at most `MAX_PARTICLES`
    """
    return sum(result.n_particles for result in results) <= MAX_PARTICLES


def _field(result: ImageResult) -> FieldOfView:
    """Field of view of an image."""
    height, width = result.shape
    return FieldOfView(result.name, width, height, result.pixel_size_nm)
