"""The statistics of each image and each sample beside those of all, as one table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanorender.errors import InputError
from nanorender.report.page import Cells, number
from nanorender.statistics.bootstrap import Estimate
from nanorender.statistics.sampling import FieldOfView
from nanorender.statistics.summary import Statistics, Summary, summarize, summarize_by_image

DASH = "\u2013"  # of ranges in the table
SHOWN = ("d10", "d50", "d90", "mean", "geometric_standard_deviation")


@dataclass(frozen=True)
class Groups:
    """Summaries of the images by their names, of samples by theirs, and of all images."""

    images: Mapping[str, Summary]
    samples: Mapping[str, Summary]
    all: Summary

    def named(self) -> list[tuple[str, str, Summary]]:
        """Return (level, name, summary) of every group, images first."""
        rows = [("image", name, each) for name, each in self.images.items()]
        rows += [("sample", name, each) for name, each in self.samples.items()]
        return [*rows, ("all", "all images", self.all)]


def samples_by_name(images: Sequence[str], pattern: str) -> dict[str, str]:
    """Return the sample of each image: the part of its name that a regular expression finds.

    The first parenthesis counts where there is one.

    Raises
    ------
    InputError
        If the pattern is none, or is not found in a name.
    """
    try:
        searched = re.compile(pattern)
    except re.error as error:
        raise InputError(f"'{pattern}' is no regular expression: {error}") from None
    samples = {}
    for image in images:
        found = searched.search(image)
        sample = found and found.group(1 if searched.groups else 0)
        if not sample:
            raise InputError(f"'{pattern}' is not found in the name '{image}'; give one that is")
        samples[image] = sample
    return samples


def summarize_groups(
    table: pd.DataFrame,
    fields: Sequence[FieldOfView],
    sample_of: Mapping[str, str],
    settings: Statistics,
    summary: Summary,
) -> Groups:
    """Return the statistics of every image and sample beside the `summary` of all.

    Parameters
    ----------
    table: rows of `measure` of all images, with an "image" column
    fields: one for each image
    sample_of: sample of each image by its name; empty if there are no samples
    settings: as of the summary
    summary: of all images
    """
    images = summarize_by_image(table, fields, settings, np.random.default_rng(0), summary.floor)
    samples = {}
    for name in dict.fromkeys(sample_of.values()):
        members = [field for field in fields if sample_of[field.image] == name]
        rows = table.loc[table["image"].isin([field.image for field in members])]
        rng = np.random.default_rng(0)
        samples[name] = summarize(rows, members, settings, rng, summary.floor)
    return Groups(images, samples, summary)


def statistics_table(groups: Groups) -> pd.DataFrame:
    """Return one row a group: counts, sizes and nanoscale shares, each with its interval."""
    return pd.DataFrame([_row(*named) for named in groups.named()])


def _row(level: str, name: str, summary: Summary) -> dict[str, object]:
    unit = summary.unit
    row: dict[str, object] = {
        "level": level,
        "name": name,
        "images": summary.images,
        "particles": summary.particles,
        "left_out": summary.left_out,
        f"field_area_{unit}2": summary.field_area,
    }
    estimates = {f"number_density_per_{unit}2": summary.number_density}
    estimates["coverage"] = summary.coverage
    for key, estimate in summary.sizes.items():
        pure = key in ("geometric_standard_deviation", "span")
        estimates[key if pure else f"{key}_{unit}"] = estimate
    for share in summary.nanoscale:
        name = f"share_below_100nm_{share.quantity}"
        estimates[name] = Estimate(share.value, share.low, share.high)
    for key, estimate in estimates.items():
        row |= {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}
    settings = summary.settings
    return row | {
        "quantity": settings.quantity,
        "weighting": settings.weighting,
        "intervals": summary.interval_method,
    }


def shown_groups(groups: Groups) -> Cells:
    """Return what the page shows of them: a size distribution a row."""
    unit = groups.all.unit
    columns = [name.upper() if name.startswith("d") else name for name in SHOWN]
    heads = [f"{name} ({unit})" for name in columns[:-1]] + ["geometric SD"]
    rows = []
    for level, name, summary in groups.named():
        cells = [_with_interval(summary.sizes[key]) for key in SHOWN]
        shares = [_percent(share.value, share.low, share.high) for share in summary.nanoscale[:1]]
        rows.append((name, level, str(summary.particles), *cells, *shares))
    nano = ["min Feret below 100 nm"] if groups.all.nanoscale else []
    return Cells(("Name", "Level", "N", *heads, *nano), rows)


def _with_interval(estimate: Estimate) -> str:
    value, low, high = rounded(estimate)
    return f"{value} ({low}{DASH}{high})" if low else value


def _percent(value: float, low: float, high: float) -> str:
    value_, low_, high_ = rounded(Estimate(100 * value, 100 * low, 100 * high))
    return f"{value_} % ({low_}{DASH}{high_})" if value_ else ""


def rounded(estimate: Estimate) -> tuple[str, str, str]:
    """Return value and ends of the interval, to two digits of the interval's half-width.

    As the Guide to the Expression of Uncertainty in Measurement (JCGM 100:2008), 7.2.6, asks; a
    value without an interval has four significant digits.
    """
    half = (estimate.high - estimate.low) / 2
    if not (np.isfinite(half) and half > 0 and np.isfinite(estimate.value)):
        return number(estimate.value), number(estimate.low), number(estimate.high)
    digits = 1 - int(np.floor(np.log10(half)))
    ends = (estimate.value, estimate.low, estimate.high)
    value, low, high = (f"{round(each, digits):.{max(digits, 0)}f}" for each in ends)
    return value, low, high
