"""Size statistics of every image, every sample and all images, as one table."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from nanorender.errors import InputError
from nanorender.statistics.bootstrap import STATISTICS
from nanorender.statistics.sampling import FieldOfView, SizeFloor
from nanorender.statistics.summary import Statistics, Summary, summarize

# Intervals come from resampling: a fixed seed gives the same report every time.
SEED = 0
_BLOCK_ROWS = 1000  # of a table: a row takes ten times as much memory before it is in one


class Group(NamedTuple):
    """A set of particles that is summarized.

    Attributes
    ----------
    level : what the group is
    name : of the image or sample, or "all images"
    summary : its size statistics
    """

    level: Literal["image", "sample", "all"]
    name: str
    summary: Summary


def samples_by_name(images: Sequence[str], pattern: str) -> dict[str, str]:
    """Find the sample of each image by a regular expression.

    Parameters
    ----------
    images : names of the images
    pattern : matches the sample within the name; its first group counts if it has one

    Returns
    -------
    sample of each image by the image's name

    Raises
    ------
    InputError
        If the pattern is invalid or does not match a name.

    Examples
    --------
    >>> samples_by_name(["e171_1", "e171_2", "food_1"], "^[^_]+")
    {'e171_1': 'e171', 'e171_2': 'e171', 'food_1': 'food'}
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"'{pattern}' is not a valid regular expression: {error}; correct it"
        ) from None
    samples = {}
    for image in images:
        found = compiled.search(image)
        sample = found and found.group(1 if compiled.groups else 0)
        if not sample:
            raise InputError(
                f"the pattern '{pattern}' does not match the image name '{image}'; change the "
                "pattern so that it finds the sample in every name"
            )
        samples[image] = sample
    return samples


def summarize_groups(
    table: pd.DataFrame,
    fields: Sequence[FieldOfView],
    sample_of: Mapping[str, str],
    settings: Statistics,
    floor: SizeFloor | None = None,
) -> Iterator[Group]:
    """Compute the size statistics of every image, every sample and all images, one by one.

    Parameters
    ----------
    table : rows of `measure` of all images, with an "image" column
    fields : field of view of each image
    sample_of : sample of each image by the image's name; empty if there are no samples
    settings : settings of the statistics
    floor : smallest detectable size, for the record

    Yields
    ------
    images, then samples, then all images as the last group

    Raises
    ------
    InputError
        If a particle's image is not among the fields, or the table lacks a column.

    Examples
    --------
    >>> table = pd.DataFrame({"image": ["a", "a", "b"], "sqrt_area_px": [10.0, 20.0, 30.0]})
    >>> table["area_px2"] = table["sqrt_area_px"] ** 2
    >>> fields = [FieldOfView(image, 80, 60, None) for image in ("a", "b")]
    >>> settings = Statistics(quantity="sqrt_area", resamples=100)
    >>> groups = summarize_groups(table, fields, {}, settings)
    >>> [(group.name, group.summary.sizes["mean"].value) for group in groups]
    [('a', 15.0), ('b', 30.0), ('all images', 20.0)]
    """
    rows_of = table.groupby("image", sort=False).indices
    nothing = np.array([], int)
    source = np.random.default_rng(SEED)
    for field in fields:
        (stream,) = source.spawn(1)  # one at a time: a generator takes 1 kB
        rows = table.iloc[rows_of.get(field.image, nothing)]
        summary = summarize(rows, [field], settings, stream, floor)
        yield Group("image", field.image, summary)
    members_of: dict[str, list[FieldOfView]] = {name: [] for name in sample_of.values()}
    for field in fields if sample_of else ():
        members_of[sample_of[field.image]].append(field)
    for sample, members in members_of.items():
        places = [rows_of.get(field.image, nothing) for field in members]
        rows = table.iloc[np.sort(np.concatenate(places))]
        rng = np.random.default_rng(SEED)
        yield Group("sample", sample, summarize(rows, members, settings, rng, floor))
    summary = summarize(table, fields, settings, np.random.default_rng(SEED), floor)
    yield Group("all", "all images", summary)


def statistics_tables(groups: Iterable[Group]) -> Iterator[pd.DataFrame]:
    """Tabulate the statistics of groups, up to a thousand in each table.

    Parameters
    ----------
    groups : as `summarize_groups` returns them

    Yields
    ------
    tables with the same columns, one row per group: counts, sizes and nanoscale shares, each with
    its interval

    Examples
    --------
    >>> table = pd.DataFrame({"image": ["a", "a", "b"], "sqrt_area_px": [10.0, 20.0, 30.0]})
    >>> table["area_px2"] = table["sqrt_area_px"] ** 2
    >>> fields = [FieldOfView(image, 80, 60, None) for image in ("a", "b")]
    >>> settings = Statistics(quantity="sqrt_area", resamples=100)
    >>> (found,) = statistics_tables(summarize_groups(table, fields, {}, settings))
    >>> found[["name", "particles", "mean_px"]].values.tolist()
    [['a', 2, 15.0], ['b', 1, 30.0], ['all images', 3, 20.0]]
    """
    rows = (_row(group) for group in groups)
    yield from map(pd.DataFrame, iter(lambda: list(islice(rows, _BLOCK_ROWS)), []))


def _row(group: Group) -> dict[str, object]:
    """Row of the statistics table."""
    summary = group.summary
    unit = summary.unit
    row: dict[str, object] = {
        "level": group.level,
        "name": group.name,
        "images": summary.images,
        "particles": summary.particles,
        "left_out": summary.left_out,
        "struck_out": summary.struck_out,
        f"field_area_{unit}2": summary.field_area,
    }
    estimates = {f"number_density_per_{unit}2": summary.number_density}
    estimates["coverage"] = summary.coverage
    for key, estimate in summary.sizes.items():
        estimates[f"{key}_{unit}" if STATISTICS[key].is_length else key] = estimate
    for share in summary.nanoscale:
        estimates[f"share_below_100nm_{share.quantity}"] = share
    for key, estimate in estimates.items():
        row |= {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}
    return row | {
        "quantity": summary.settings.quantity,
        "weighting": summary.settings.weighting,
        "intervals": summary.interval_method,
    }
