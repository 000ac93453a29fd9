"""The summary of a study in words: key figures, how each was obtained, and the size plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from nanorender.measuring.sizes import SIZE_QUANTITIES
from nanorender.report.figures import SizeDistribution
from nanorender.report.page import Cells, KeyFigure, number
from nanorender.scoring.results import ImageResult
from nanorender.statistics.bootstrap import Estimate
from nanorender.statistics.fits import Fit
from nanorender.statistics.groups import Groups, rounded, shown_groups
from nanorender.statistics.nanoscale import DECISIVE_SHARE, LIMIT_NM
from nanorender.statistics.sampling import FieldOfView, SizeFloor, frame_weights
from nanorender.statistics.summary import Summary

# Name, whether it is a length, how it was obtained: the figures of `Summary.sizes`.
SIZE_FIGURES = {
    "d10": ("D10", True, "10 % of the {amount} below it"),
    "d50": ("Median, D50", True, "half of the {amount} below it"),
    "d90": ("D90", True, "90 % of the {amount} below it"),
    "mean": ("Mean", True, "arithmetic mean"),
    "mode": ("Mode", True, "most frequent size, by kernel density of the logarithms"),
    "standard_deviation": ("Standard deviation", True, "with n - 1 in the denominator"),
    "geometric_standard_deviation": (
        "Geometric standard deviation",
        False,
        "exponential of the standard deviation of the logarithms",
    ),
    "span": ("Span", False, "(D90 - D10) / D50"),
}
FRAME = {
    "keep": "particles cut by the frame are counted with the size that is seen",
    "drop": "particles cut by the frame are left out",
    "miles_lantuejoul": "particles cut by the frame are left out, the others weighted after Miles "
    "and Lantuéjoul",
}
NORMS = (
    "Reports the figures asked for by ISO 13322-1 (static image analysis), ISO 9276 (presentation "
    "of size analysis) and ISO 19749 (nanoparticles by SEM)."
)
INTERVALS = (
    "They cover which particles and images were drawn, not the calibration of the pixel size nor "
    "errors of the segmentation; figures are rounded to two digits of the half-width."
)


@dataclass(frozen=True)
class Findings:
    """What a report says about the whole sample.

    Attributes
    ----------
    notes: remarks that belong above the figures, such as an unknown pixel size
    interval: what the intervals are
    key_figures: the figures of the summary
    sizes: what the size plots show
    captions: (description, caption) of each plot by the name of its file
    groups: the sizes of every image and sample
    record: everything of the summary, for summary.json
    """

    notes: Sequence[str]
    interval: str
    key_figures: Sequence[KeyFigure]
    sizes: SizeDistribution
    captions: Mapping[str, tuple[str, str]]
    groups: Cells
    record: Mapping[str, object]


def findings(groups: Groups, results: Sequence[ImageResult]) -> Findings:
    """Return the summary of the results in words and plots."""
    summary = groups.all
    sizes = _distribution(summary, results)
    settings = summary.settings
    notes = [
        NORMS,
        f"Size is the {SIZE_QUANTITIES[settings.quantity]}, weighted by {settings.weighting}. "
        f"Intervals: {summary.interval_method}. {INTERVALS}",
    ]
    if summary.unit == "px":
        notes.append("The pixel size is unknown: sizes are in pixels, and none is in nm.")
    return Findings(
        notes=notes,
        interval=f"{100 * settings.confidence:g} % interval",
        key_figures=[
            *_counts(summary),
            *_sizes(summary),
            *_nanoscale(summary),
            *_limits(summary),
        ],
        sizes=sizes,
        captions=_captions(summary, sizes),
        groups=shown_groups(groups),
        record=summary.to_dict(),
    )


def _counts(summary: Summary) -> list[KeyFigure]:
    """Return how many particles there are, in all and by area."""
    left_out = f"; {summary.left_out} were left out" if summary.left_out else ""
    area, unit = summary.field_area, "px²"
    if summary.unit == "nm":
        area, unit = area / 1e6, "µm²"
    density = _scaled(summary.number_density, summary.field_area / area)
    coverage = _scaled(summary.coverage, 100.0)
    frame = FRAME[summary.settings.frame_correction] + left_out
    images = "1 image" if summary.images == 1 else f"{summary.images} images"
    return [
        KeyFigure("Particles counted, N", str(summary.particles), "", f"on {images}; {frame}"),
        KeyFigure("Field of view", f"{number(area)} {unit}", "", "area of all images"),
        _figure("Number density", density, f"per {unit}", "particles by area of the images"),
        _figure("Coverage", coverage, "%", "share of the images' area that particles cover"),
    ]


def _sizes(summary: Summary) -> list[KeyFigure]:
    """Return the figures of the size distribution."""
    amount = {"number": "particles", "volume": "volume"}[summary.settings.weighting]
    marked = ", volume-weighted" if summary.settings.weighting == "volume" else ""
    figures = []
    for key, (name, is_length, how) in SIZE_FIGURES.items():
        unit = summary.unit if is_length else ""
        figures.append(_figure(name + marked, summary.sizes[key], unit, how.format(amount=amount)))
    if summary.fit is not None:
        criterion = summary.settings.criterion.upper()
        others = [f"{fit.name} {getattr(fit, criterion.lower()):.0f}" for fit in summary.fits]
        how = (
            f"{_parameters(summary.fit, summary.unit)}; lowest {criterion} of the fits by maximum "
            f"likelihood, by number: {', '.join(others)}"
        )
        figures.append(KeyFigure("Fitted distribution", summary.fit.name, "", how))
    return figures


def _parameters(fit: Fit, unit: str) -> str:
    """Return what defines a fitted distribution."""
    names = {"normal": ("mean", "SD"), "lognormal": ("median", "geometric SD")}[fit.kind]
    spread_unit = f" {unit}" if fit.kind == "normal" else ""
    parts = [
        f"{names[0]} {number(center)} {unit}, {names[1]} {number(spread)}{spread_unit}"
        + (f" ({100 * weight:.0f} %)" if len(fit.weights) > 1 else "")
        for weight, center, spread in zip(fit.weights, fit.centers, fit.spreads, strict=True)
    ]
    return " and ".join(parts)


def _nanoscale(summary: Summary) -> list[KeyFigure]:
    """Return the shares below the limit of a nanomaterial, with the verdicts."""
    figures = []
    for share in summary.nanoscale:
        quantity = SIZE_QUANTITIES[share.quantity].removesuffix(" diameter")
        name = f"Share below {LIMIT_NM:g} nm, {quantity}"
        how = (
            f"by number; {share.method}; {share.verdict} the {100 * DECISIVE_SHARE:g} % of "
            "recommendation 2022/C 229/01, as far as particles were seen"
        )
        estimate = _scaled(Estimate(share.value, share.low, share.high), 100.0)
        figures.append(_figure(name, estimate, "%", how))
    return figures


def _limits(summary: Summary) -> list[KeyFigure]:
    """Return the size floor and what a narrower median would need."""
    figures = []
    if summary.floor is not None:
        unit = summary.floor.unit
        causes = [f"{name} {number(size)} {unit}" for name, size in _at_work(summary.floor)]
        value = f"{number(summary.floor.value)} {unit}"
        how = f"smaller ones could not be seen; the largest of: {', '.join(causes)}"
        figures.append(KeyFigure("Size floor", value, "", how))
    if summary.needed.particles is not None:
        target = 100 * summary.settings.target
        how = f"for a median within ±{target:g} %, as intervals narrow with the root of the number"
        for name in ("particles", "images"):
            value = str(getattr(summary.needed, name))
            figures.append(KeyFigure(f"More {name} needed", value, "", how))
    return figures


def _at_work(floor: SizeFloor) -> list[tuple[str, float]]:
    """Return the causes of a size floor that have an effect."""
    return [(name, size) for name, size in floor.causes.items() if size > 0]


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    """Return the estimate in another unit."""
    return Estimate(estimate.value * factor, estimate.low * factor, estimate.high * factor)


def _figure(name: str, estimate: Estimate, unit: str, how: str) -> KeyFigure:
    """Return an estimate as it is printed."""
    value, low, high = rounded(estimate)
    interval = f"{low} to {high}" if low and high else ""
    return KeyFigure(name, f"{value} {unit}".strip() if value else "", interval, how)


def _distribution(summary: Summary, results: Sequence[ImageResult]) -> SizeDistribution:
    """Return what the size plots show: particles as counted and weighted in the summary."""
    settings, unit = summary.settings, summary.unit
    weights = np.concatenate([_weights(summary, result) for result in results])
    by_volume = settings.weighting == "volume"
    corrected = settings.frame_correction == "miles_lantuejoul"
    amount = "number of particles, frame-corrected" if corrected else "number of particles"
    if by_volume:
        amount = "share of the volume (%)"
        weights = 100 * weights / max(weights.sum(), np.finfo(float).tiny)
    true = [result.true_table for result in results if result.true_table is not None]
    column = f"{settings.quantity}_{unit}"
    return SizeDistribution(
        sizes=_column([result.table for result in results], column)[weights > 0],
        weights=weights[weights > 0],
        quantity=SIZE_QUANTITIES[settings.quantity],
        unit=unit,
        amount=amount,
        cumulative=f"cumulative share by {settings.weighting}, $Q_{3 if by_volume else 0}$",
        floor=None if summary.floor is None else summary.floor.value,
        percentiles={share: summary.sizes[f"d{share}"] for share in (10, 50, 90)},
        fit=None if by_volume else summary.fit,
        # Counts of the truth compare with counts of whole images only.
        true_sizes=_column(true, column) if len(true) == len(results) and not by_volume else None,
    )


def _column(tables: Sequence[pd.DataFrame], name: str) -> Float[np.ndarray, "n"]:
    """Return a column of all tables together."""
    return np.concatenate([table[name].to_numpy(float) for table in tables])


def _weights(summary: Summary, result: ImageResult) -> Float[np.ndarray, "n"]:
    """Return the weight of each particle of an image, 0 where it was left out."""
    height, width = result.labels.shape
    field = FieldOfView(result.name, width, height, result.pixel_size_nm)
    weights = frame_weights(result.table, field, summary.settings.frame_correction)
    if summary.settings.weighting == "volume":
        diameter = result.table[f"equivalent_diameter_{summary.unit}"].to_numpy(float)
        weights = weights * diameter**3
    return weights


def _captions(summary: Summary, sizes: SizeDistribution) -> dict[str, tuple[str, str]]:
    """Return the description and the caption of each plot."""
    floor = " Hatched: too small to be seen." if sizes.floor is not None else ""
    fit = f" Line: {sizes.fit.name} fit." if sizes.fit is not None else ""
    median = number(summary.sizes["d50"].value)
    middle = f", median {median} {summary.unit}" if median else ""
    title = f"{sizes.quantity} of {summary.particles} particles{middle}"
    return {
        "size_histogram": (
            f"Histogram: {title}",
            f"Size distribution.{fit} Dashed: percentiles.{floor}",
        ),
        "cumulative_curve": (
            f"Cumulative distribution: {title}",
            f"Share of the particles up to each size.{fit} Bars: intervals of the percentiles.",
        ),
    }
