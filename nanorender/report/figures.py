"""Figures of size distributions and numbered overlays, as reproducible PNG and SVG files."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from nanorender.measuring.sizes import SIZE_QUANTITIES
from nanorender.report.bar import scale_bar
from nanorender.report.overlay import number_places, overlay
from nanorender.scoring.results import ImageResult
from nanorender.statistics.bootstrap import Estimate
from nanorender.statistics.fits import Fit
from nanorender.statistics.summary import Summary

INK = "#24292f"  # color of text and axes; the report replaces it by its text color
MEASURED, FIT, TRUE = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito, as in the overlays
MAX_BINS = 60
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.hashsalt": "nanorender",  # the same identifiers in every run
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@matplotlib.rc_context(STYLE)
def size_histogram(summary: Summary, true_sizes: Float[np.ndarray, "k"] | None = None) -> Figure:
    """Draw the number or volume of particles per size class, with fit, percentiles and true counts.

    Parameters
    ----------
    summary : statistics to show
    true_sizes : (k,) true sizes to compare with, in the unit of the summary

    Returns
    -------
    figure
    """
    figure, axes = _figure(summary)
    sizes, weights = summary.sample.sizes, summary.sample.weights
    amount = "number of particles"
    if (weights != 1).any():
        amount = "number of particles, frame-corrected"
    if summary.settings.weighting == "volume":
        amount = "share of the volume (%)"
        weights = 100 * weights / max(weights.sum(), np.finfo(float).tiny)
    edges = size_classes(summary, true_sizes)
    width = edges[1] - edges[0]
    label = f"measured (N = {len(sizes)})"
    style = {"color": MEASURED, "alpha": 0.35, "edgecolor": MEASURED, "label": label}
    _, _, bars = axes.hist(sizes, edges.tolist(), weights=weights, **style)
    # Names of the elements in the SVG file, by which the script of the page finds them.
    for index, patch in enumerate(np.atleast_1d(np.asarray(bars, object))):
        patch.set_gid(f"class-{index}")
    if true_sizes is not None:
        counts, _ = np.histogram(true_sizes, edges)
        label = f"true (N = {len(true_sizes)})"
        axes.stairs(counts, edges, color=TRUE, linewidth=1.6, label=label)
    fit = shown_fit(summary)
    if fit is not None:
        grid = _size_grid(edges[-1])
        expected = fit.density(grid) * width * weights.sum()
        axes.plot(grid, expected, color=FIT, linewidth=1.4, label=fit.name)
    for share, percentile in _percentiles(summary).items():
        line = axes.axvline(percentile.value, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        line.set_gid(f"line-d{share}")
        name = axes.annotate(
            f"D{share}",
            (percentile.value, 1.07 if share == 50 else 1.01),  # beside the others, however narrow
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
        )
        name.set_gid(f"name-d{share}")
    axes.set_ylabel(f"{amount} per class")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _finish(axes, summary, edges[-1])
    return figure


@matplotlib.rc_context(STYLE)
def cumulative_curve(summary: Summary, true_sizes: Float[np.ndarray, "k"] | None = None) -> Figure:
    """Draw the share of particles up to each size, with percentile intervals, fit and true sizes.

    Parameters
    ----------
    summary : statistics to show
    true_sizes : (k,) true sizes to compare with, in the unit of the summary

    Returns
    -------
    figure
    """
    figure, axes = _figure(summary)
    sizes = summary.sample.sizes
    largest = size_classes(summary, true_sizes)[-1]
    if len(sizes):
        style = {"color": MEASURED, "linewidth": 1.6, "label": "measured"}
        axes.ecdf(sizes, summary.sample.weights, **style)
    if true_sizes is not None and len(true_sizes):
        axes.ecdf(true_sizes, color=TRUE, linewidth=1.2, label="true")
    fit = shown_fit(summary)
    if fit is not None:
        grid = _size_grid(largest)
        axes.plot(grid, fit.cumulative(grid), color=FIT, linewidth=1.2, label=fit.name)
    for share, percentile in _percentiles(summary).items():
        interval = [percentile.low, percentile.high]
        axes.plot(interval, [share / 100] * 2, color=INK, linewidth=1.2, marker="|", markersize=7)
        axes.annotate(f"D{share} ", (percentile.low, share / 100), ha="right", va="center")
    symbol = "$Q_3$" if summary.settings.weighting == "volume" else "$Q_0$"
    axes.set_ylabel(f"cumulative share by {summary.settings.weighting}, {symbol}")
    axes.set_ylim(0, 1.02)
    _finish(axes, summary, largest)
    return figure


def shown_fit(summary: Summary) -> Fit | None:
    """Choose the fit to draw: fits are by number, so there is none over sizes by volume.

    Parameters
    ----------
    summary : statistics to show

    Returns
    -------
    the chosen fit, or None
    """
    return None if summary.settings.weighting == "volume" else summary.fit


def _figure(summary: Summary) -> tuple[Figure, Axes]:
    """Empty figure with a labeled size axis."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(f"{SIZE_QUANTITIES[summary.settings.quantity]} ({summary.unit})")
    return figure, axes


def _size_grid(largest: float) -> Float[np.ndarray, "m"]:
    """Positive sizes at which a fit is drawn."""
    return np.linspace(largest / 400, largest, 400)


def _percentiles(summary: Summary) -> dict[int, Estimate]:
    """Finite percentiles by their share in percent; there are none without particles."""
    percentiles = {share: summary.sizes[f"d{share}"] for share in (10, 50, 90)}
    return {share: each for share, each in percentiles.items() if np.isfinite(each.value)}


def comparable_true_sizes(
    results: Sequence[ImageResult], summary: Summary
) -> Float[np.ndarray, "k"] | None:
    """Collect the true sizes to draw beside the measured ones.

    Parameters
    ----------
    results : images, annotated or not
    summary : statistics of all of them

    Returns
    -------
    (k,) true sizes; None unless every image is annotated and particles count by number
    """
    tables = [each.true_table for each in results if each.true_table is not None]
    if len(tables) < len(results) or summary.settings.weighting != "number":
        return None
    column = f"{summary.settings.quantity}_{summary.unit}"
    return np.concatenate([table[column].to_numpy(float) for table in tables])


def size_classes(
    summary: Summary, true_sizes: Float[np.ndarray, "k"] | None
) -> Float[np.ndarray, "m"]:
    """Choose equal size classes that cover measured and true sizes, at multiples of their width.

    Width after Freedman and Diaconis (Z. Wahrscheinlichkeitstheorie 57, 453, 1981), rounded up to
    1, 2 or 5 times a power of ten, and wider if there would be more than MAX_BINS classes.

    Parameters
    ----------
    summary : statistics with the measured sizes
    true_sizes : (k,) true sizes, if they are drawn as well

    Returns
    -------
    edges of the classes
    """
    sizes = summary.sample.sizes
    both = sizes if true_sizes is None else np.concatenate([sizes, true_sizes])
    if not len(both):
        return np.array([0.0, 1.0])
    low, high = both.min(), both.max()
    reference = sizes if len(sizes) else both
    quartiles = np.percentile(reference, [25, 75])
    width = 2 * (quartiles[1] - quartiles[0]) / len(reference) ** (1 / 3)
    width = max(width, (high - low) / MAX_BINS, high * 1e-3)
    power = 10 ** np.floor(np.log10(width))
    width = next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))
    first, last = np.floor(low / width), np.floor(high / width) + 1
    return np.arange(first, last + 1) * width


def _finish(axes: Axes, summary: Summary, right: float) -> None:
    """Shade undetectable sizes, set the range of sizes and add the legend."""
    if summary.floor is not None:
        floor = summary.floor.value
        axes.axvspan(
            0,
            floor,
            facecolor="none",
            edgecolor="#8c959f",
            hatch="////",
            linewidth=0,
            label=f"not detectable, < {floor:.3g} {summary.unit}",
        )
        right = max(right, 2 * floor)
    axes.set_xlim(0, 1.02 * right)
    if axes.get_legend_handles_labels()[0]:
        axes.figure.legend(loc="outside lower center", ncols=2)


def numbered_overlay(
    image: Integer[np.ndarray, "h w"],
    labels: Integer[np.ndarray, "h w"],
    pixel_size_nm: float | None = None,
    struck_out: Collection[int] = (),
) -> Figure:
    """Draw the overlay of an image, pixel for pixel, with numbered particles and a scale bar.

    Parameters
    ----------
    image : (h, w) gray image
    labels : (h, w) label map
    pixel_size_nm : edge of a pixel, for the scale bar; None where it is unknown
    struck_out : labels of particles struck out by hand, which get a cross in place of their number

    Returns
    -------
    figure of the size of the image, for `save_pixels`
    """
    height, width = image.shape
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.imshow(overlay(image, labels), extent=(0, width, height, 0), interpolation="none")
    size = float(np.clip(max(height, width) / 160, 5, 11))
    outline = [withStroke(linewidth=size / 5, foreground="black")]
    style = {"color": "white", "fontsize": size, "path_effects": outline}
    for label, x, y in number_places(labels):
        text = "\u00d7" if int(label) in struck_out else str(int(label))
        axes.text(x, y, text, ha="center", va="center", **style)
    # Draw the scale bar on a dark ground, in the lower left corner.
    bar, unit = scale_bar(width, pixel_size_nm), size * 100 / 72  # height of the text in pixels
    left, bottom = unit, height - unit
    ground = (left - unit / 2, bottom - 1.9 * unit)
    ground_size = (bar.length_px + unit, 2.3 * unit)
    axes.add_patch(Rectangle(ground, *ground_size, facecolor="black", alpha=0.6, linewidth=0))
    low = bottom - 0.3 * unit
    axes.add_patch(Rectangle((left, low), bar.length_px, 0.3 * unit, facecolor="white"))
    middle = left + bar.length_px / 2
    axes.text(middle, low - 0.2 * unit, bar.text, ha="center", va="bottom", **style)
    return figure


@matplotlib.rc_context(STYLE)
def save(figure: Figure, stem: Path) -> None:
    """Save a figure as PNG and SVG; the same figure gives the same bytes.

    Parameters
    ----------
    figure
    stem : path of the files without .png and .svg
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(stem.with_name(stem.name + ".png"), dpi=200, metadata={"Software": None})
    with stem.with_name(stem.name + ".svg").open("w", encoding="utf-8", newline="\n") as file:
        figure.savefig(file, format="svg", metadata={"Date": None})


def save_pixels(figure: Figure, path: Path) -> None:
    """Save a figure as a PNG file, pixel for pixel.

    Parameters
    ----------
    figure : as `numbered_overlay` returns it
    path : of the file
    """
    figure.savefig(path, metadata={"Software": None})
