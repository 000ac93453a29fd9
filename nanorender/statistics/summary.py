"""Size statistics of the particles of an image, a sample or a study, with their uncertainty.

Reports the quantities requested by ISO 13322-1 (static image analysis), ISO 9276 (representation of
particle size analysis) and ISO 19749 (nanoparticle size distributions by SEM).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.stats import chi2

from nanorender.errors import InputError
from nanorender.measuring.sizes import SizeName
from nanorender.settings import Settings
from nanorender.statistics.bootstrap import (
    STATISTICS,
    Estimate,
    Resampling,
    SizeSample,
    bootstrap_statistics,
    percentile_interval,
    resampled_ratios,
)
from nanorender.statistics.fits import Fit, InformationCriterion, best_fit, fit_sizes
from nanorender.statistics.frame import FRAME_RULES, FrameRuleName
from nanorender.statistics.nanoscale import NanoscaleShare, nanoscale_share
from nanorender.statistics.sampling import FieldOfView, SizeFloor, frame_weights
from nanorender.statistics.uncertainty import LARGEST_PERCENT, widened

SHARE_QUANTITIES = ("min_feret", "inscribed_diameter")


class Statistics(Settings):
    """Settings of the size statistics.

    Attributes
    ----------
    quantity : measurement that is the size of a particle
    weighting : by number, or by the volume of the sphere of the equivalent circle diameter
    frame_correction : rule for particles cut by the frame, a name in FRAME_RULES
    confidence : confidence level of all intervals
    resamples : number of bootstrap resamples
    least_images : number of images from which on whole images are resampled, not particles
    criterion : information criterion that chooses the fitted distribution
    target : relative half-width of the median's interval to aim for
    pixel_size_uncertainty_percent : relative standard uncertainty of the pixel size; None if it is
        unknown and not in the intervals
    """

    quantity: Annotated[
        SizeName, Field(description="measurement that is the size of a particle")
    ] = "equivalent_diameter"
    weighting: Annotated[
        Literal["number", "volume"],
        Field(description="weight of a particle: 1, or the volume of its equivalent sphere"),
    ] = "number"
    frame_correction: Annotated[
        FrameRuleName, Field(description="rule for particles cut by the frame")
    ] = "keep"
    confidence: Annotated[
        float, Field(gt=0, lt=1, description="confidence level of all intervals")
    ] = 0.95
    resamples: Annotated[PositiveInt, Field(description="number of bootstrap resamples")] = 2000
    least_images: Annotated[
        int,
        Field(
            ge=2, description="with at least this many images, resample whole images, not particles"
        ),
    ] = 5
    criterion: Annotated[
        InformationCriterion,
        Field(description="information criterion; bic prefers fewer components than aic"),
    ] = "bic"
    target: Annotated[
        PositiveFloat, Field(description="relative half-width of the median's interval to aim for")
    ] = 0.05
    pixel_size_uncertainty_percent: Annotated[
        float | None,
        Field(gt=0, le=LARGEST_PERCENT, description="standard uncertainty of the pixel size in %"),
    ] = None

    @property
    def pixel_size_uncertainty(self) -> float:
        """Relative standard uncertainty of the pixel size in the intervals, 0 if unknown."""
        return (self.pixel_size_uncertainty_percent or 0.0) / 100


@dataclass(frozen=True)
class RequiredSampling:
    """Additional sampling that narrows the interval of the median to the target.

    Attributes
    ----------
    particles : how many more particles; None if there are too few to tell
    images : how many more images; None likewise
    """

    particles: int | None
    images: int | None


@dataclass(frozen=True)
class Summary:
    """Size statistics of a set of particles; lengths in `unit`, areas in its square.

    Attributes
    ----------
    unit : "nm", or "px" if the pixel size is unknown
    settings : settings of the statistics
    interval_method : how the intervals were obtained, as text
    sample : sizes and weights of the particles counted
    particles : number of particles counted
    left_out : number of particles left out, because the frame cuts them
    struck_out : number of particles left out, because they were struck out by hand
    images : number of images
    field_area : total area of the images
    number_density : particles per area, with frame correction
    coverage : share of the area covered by particles, including those at the frame
    sizes : estimates by the names in STATISTICS
    fits : distributions fitted to the sizes, weighted by number
    fit : the fit chosen by the criterion
    nanoscale : shares below 100 nm by number, one per size; empty in px
    floor : smallest detectable size, if known
    needed : additional sampling required
    """

    unit: Literal["nm", "px"]
    settings: Statistics
    interval_method: str
    sample: SizeSample
    particles: int
    left_out: int
    struck_out: int
    images: int
    field_area: float
    number_density: Estimate
    coverage: Estimate
    sizes: dict[str, Estimate]
    fits: tuple[Fit, ...]
    fit: Fit | None
    nanoscale: tuple[NanoscaleShare, ...]
    floor: SizeFloor | None
    needed: RequiredSampling

    def to_dict(self) -> dict[str, object]:
        """Convert to a dictionary for JSON, without the sample.

        Returns
        -------
        every other attribute by name; may hold NaN
        """
        record = asdict(self)
        del record["sample"]
        record["settings"] = self.settings.model_dump(mode="json")
        record["fits"] = [{"name": fit.name} | asdict(fit) for fit in self.fits]
        record["fit"] = self.fit and {"name": self.fit.name} | asdict(self.fit)
        return record


def summarized_columns(settings: Statistics) -> frozenset[str]:
    """Name the columns of a particle table that `summarize` uses.

    Parameters
    ----------
    settings : of the statistics

    Returns
    -------
    their names, in nm and in pixels

    Examples
    --------
    >>> "max_feret_nm" in summarized_columns(Statistics(quantity="max_feret"))
    True
    """
    lengths = (settings.quantity, "equivalent_diameter", *SHARE_QUANTITIES)
    sizes = [f"{name}_{unit}" for name in lengths for unit in ("nm", "px")]
    rule = FRAME_RULES[settings.frame_correction]
    return frozenset(("image", "struck_out", "area_nm2", "area_px2", *sizes, *rule.columns))


def summarize(
    table: pd.DataFrame,
    fields: Sequence[FieldOfView],
    settings: Statistics,
    rng: np.random.Generator,
    floor: SizeFloor | None = None,
) -> Summary:
    """Compute the size statistics of all particles of a table.

    Parameters
    ----------
    table : rows of `measure`; with an "image" column if there are several images. Particles marked
        in a column "struck_out" are not counted.
    fields : field of view of each image, including images without particles
    settings : quantity, weighting, frame correction, intervals
    rng : draws the resamples
    floor : smallest detectable size, for the record

    Returns
    -------
    the statistics

    Raises
    ------
    InputError
        If a particle's image is not among the fields, the table lacks a column, or the uncertainty
        of an unknown pixel size is given.

    Examples
    --------
    >>> from nanorender.measuring.measure import measure
    >>> labels = np.zeros((60, 80), np.int32)
    >>> labels[10:30, 10:30], labels[35:45, 40:50] = 1, 2
    >>> fields = [FieldOfView("squares", 80, 60, 2.0)]
    >>> settings = Statistics(quantity="sqrt_area", resamples=100)
    >>> summary = summarize(measure(labels, 2.0), fields, settings, np.random.default_rng(0))
    >>> summary.particles, summary.sizes["mean"].value
    (2, 30.0)
    """
    # Weight the particles of each image.
    unit = _unit(table)
    relative = settings.pixel_size_uncertainty
    if relative and unit == "px":
        raise InputError(
            "the uncertainty of the pixel size is given, but the pixel size is unknown; leave it "
            "out, or segment again with --pixel-size-nm"
        )
    image_of = _image_of(table, fields)
    struck = np.zeros(len(table), bool)
    if "struck_out" in table:
        struck = table["struck_out"].to_numpy(bool)
    weights = np.zeros(len(table))
    order = np.argsort(image_of, kind="stable")
    limits = np.searchsorted(image_of[order], np.arange(len(fields) + 1))
    for field, (first, last) in zip(fields, pairwise(limits.tolist()), strict=True):
        here = order[first:last]
        weights[here] = frame_weights(table.iloc[here], field, settings.frame_correction)
    left_out = (weights == 0) & ~struck
    weights[struck] = 0
    counted = weights > 0

    def sample(quantity: str, volume: bool = False) -> SizeSample:
        sizes = table[f"{quantity}_{unit}"].to_numpy(float)[counted]
        weight = weights[counted]
        if volume:
            # The diameter of whole particles goes with their volume
            whole = quantity == "amodal_diameter"
            diameter = "amodal_diameter" if whole else "equivalent_diameter"
            weight = weight * table[f"{diameter}_{unit}"].to_numpy(float)[counted] ** 3
        return SizeSample(sizes, weight, image_of[counted], len(fields))

    # Estimate the statistics and their intervals. The order decides what `rng` gives to each.
    resampling = Resampling(
        "images" if len(fields) >= settings.least_images else "particles",
        settings.resamples,
        settings.confidence,
    )
    by_number = sample(settings.quantity)
    weighted = sample(settings.quantity, settings.weighting == "volume")
    sizes = bootstrap_statistics(weighted, resampling, rng)
    fits = fit_sizes(by_number.sizes, by_number.weights)
    areas = np.where(struck, 0.0, table[f"area_{unit}2"].to_numpy(float))
    shares = SHARE_QUANTITIES if unit == "nm" else ()
    density = _per_area(weights, image_of, fields, resampling, rng)
    covered = _per_area(areas, image_of, fields, resampling, rng)
    coverage = Estimate(covered.value, covered.low, min(covered.high, 1.0))
    # More particles do not narrow the part of the interval that is due to the pixel size.
    needed = _required(sizes["d50"], int(counted.sum()), len(fields), settings, resampling)
    if relative:
        for name, each in sizes.items():
            if STATISTICS[name].is_length:
                sizes[name] = widened(each, relative, settings.confidence)
        density = widened(density, 2 * relative, settings.confidence)
    return Summary(
        unit=unit,
        settings=settings,
        interval_method=_interval_method(resampling, len(fields), settings),
        sample=weighted,
        particles=int(counted.sum()),
        left_out=int(left_out.sum()),
        struck_out=int(struck.sum()),
        images=len(fields),
        field_area=sum(field.area for field in fields),
        number_density=density,
        coverage=coverage,
        sizes=sizes,
        fits=fits,
        fit=best_fit(fits, settings.criterion),
        nanoscale=tuple(
            nanoscale_share(name, sample(name), resampling, rng, relative) for name in shares
        ),
        floor=floor,
        needed=needed,
    )


def _unit(table: pd.DataFrame) -> Literal["nm", "px"]:
    """Return the unit of the lengths in a particle table."""
    if "area_nm2" in table:
        return "nm"
    if "area_px2" in table:
        return "px"
    raise InputError(
        "the table has no column area_nm2 or area_px2; write it with `nanorender measure`"
    )


def _image_of(table: pd.DataFrame, fields: Sequence[FieldOfView]) -> np.ndarray:
    """Index of each particle's field of view."""
    names = [field.image for field in fields]
    if "image" not in table:
        if len(fields) != 1:
            raise InputError(
                f"the table has no column 'image', but there are {len(fields)} images; add the "
                "column with the name of each particle's image"
            )
        return np.zeros(len(table), int)
    index = pd.Index(names).get_indexer(pd.Index(table["image"]))
    if (index < 0).any():
        missing = table["image"].to_numpy()[index < 0][0]
        raise InputError(
            f"the table has particles of the image '{missing}', which is not among the fields of "
            f"view ({', '.join(names)}); add it there or remove its particles"
        )
    return np.asarray(index, int)


def _interval_method(resampling: Resampling, images: int, settings: Statistics) -> str:
    """How the intervals are obtained, as text."""
    text = f"{100 * resampling.confidence:g} % percentile bootstrap, {resampling.count} resamples"
    if resampling.unit == "images":
        text += " of whole images"
    else:
        reason = "only one image" if images == 1 else f"only {images} images"
        text += f" of single particles ({reason}: differences between images are not included)"
    if settings.pixel_size_uncertainty:
        percent = settings.pixel_size_uncertainty_percent
        text += f", in quadrature with a standard uncertainty of the pixel size of {percent:g} %"
    return text


def _per_area(
    amounts: np.ndarray,
    image_of: np.ndarray,
    fields: Sequence[FieldOfView],
    resampling: Resampling,
    rng: np.random.Generator,
) -> Estimate:
    """Sum of the particles' amounts per area of the fields.

    If images are resampled, the interval is a bootstrap of the ratio. Otherwise the number of
    particles is assumed to be Poisson distributed: exact for equal amounts (Garwood, Biometrika 28
    (1936) 437), with the effective number sum^2 / sum of squares for unequal ones.
    """
    area = np.array([field.area for field in fields])
    held = np.bincount(image_of, amounts, len(fields))
    total, whole = float(held.sum()), float(area.sum())
    value = total / whole
    if resampling.unit == "images":
        ratios = resampled_ratios(held, area, resampling, rng)
        return Estimate(value, *percentile_interval(ratios, resampling))
    if total == 0:
        return Estimate(0.0, 0.0, float("nan"))
    count = total**2 / float((amounts**2).sum())
    low, high = resampling.tails
    least, most = chi2.ppf(low, 2 * count) / 2, chi2.ppf(high, 2 * count + 2) / 2
    return Estimate(value, value * float(least) / count, value * float(most) / count)


def _required(
    median: Estimate, particles: int, images: int, settings: Statistics, resampling: Resampling
) -> RequiredSampling:
    """Additional sampling, as the width of the interval falls with the root of the number."""
    units = images if resampling.unit == "images" else particles
    if units < 2 or not median.high > median.low:
        return RequiredSampling(None, None)
    half_width = (median.high - median.low) / 2 / median.value
    factor = (half_width / settings.target) ** 2
    return RequiredSampling(
        max(math.ceil(particles * factor) - particles, 0),
        max(math.ceil(images * factor) - images, 0),
    )
