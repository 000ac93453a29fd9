"""Figures of size distributions and numbered overlays, as PNG and SVG that depend on data alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from nanorender.report.overlay import number_places, overlay
from nanorender.statistics.bootstrap import Estimate
from nanorender.statistics.fits import Fit

INK = "#24292f"  # of text and axes; the report replaces it by the color of its own text
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


@dataclass(frozen=True)
class SizeDistribution:
    """What the size figures show; every length in `unit`.

    Attributes
    ----------
    sizes: (n,) of the particles
    weights: (n,) what each particle adds to its size class, 1 for a plain count
    quantity: what the sizes are, in words
    amount: what the classes add up, in words: number of particles, share of the volume
    cumulative: what the cumulative curve shows, in words
    floor: the size under which nothing could be seen
    percentiles: by their share in percent
    fit: of the sizes by number
    true_sizes: (k,) of the annotation or the rendered scene, to compare with
    """

    sizes: Float[np.ndarray, "n"]
    weights: Float[np.ndarray, "n"]
    quantity: str
    unit: str
    amount: str = "number of particles"
    cumulative: str = "cumulative share by number, $Q_0$"
    floor: float | None = None
    percentiles: Mapping[int, Estimate] = field(default_factory=dict)
    fit: Fit | None = None
    true_sizes: Float[np.ndarray, "k"] | None = None


@matplotlib.rc_context(STYLE)
def size_histogram(distribution: SizeDistribution) -> Figure:
    """Return the number of particles per size class, with the fit, percentiles and true counts."""
    sizes = distribution.sizes
    figure, axes = _figure(distribution)
    edges = _class_edges(distribution)
    width = edges[1] - edges[0]
    label = f"measured (N = {len(sizes)})"
    style = {"color": MEASURED, "alpha": 0.35, "edgecolor": MEASURED, "label": label}
    axes.hist(sizes, edges.tolist(), weights=distribution.weights, **style)
    if distribution.true_sizes is not None:
        counts, _ = np.histogram(distribution.true_sizes, edges)
        label = f"true (N = {len(distribution.true_sizes)})"
        axes.stairs(counts, edges, color=TRUE, linewidth=1.6, label=label)
    if distribution.fit is not None:
        along = _along(edges[-1])
        expected = distribution.fit.density(along) * width * distribution.weights.sum()
        axes.plot(along, expected, color=FIT, linewidth=1.4, label=distribution.fit.name)
    for share, percentile in _known(distribution.percentiles).items():
        axes.axvline(percentile.value, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        axes.annotate(
            f"D{share}",
            (percentile.value, 1.01),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
        )
    axes.set_ylabel(f"{distribution.amount} per class")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _finish(axes, distribution)
    return figure


@matplotlib.rc_context(STYLE)
def cumulative_curve(distribution: SizeDistribution) -> Figure:
    """Return the share of particles up to each size, with percentile intervals, fit and truth."""
    figure, axes = _figure(distribution)
    if len(distribution.sizes):
        style = {"color": MEASURED, "linewidth": 1.6, "label": "measured"}
        axes.ecdf(distribution.sizes, distribution.weights, **style)
    if distribution.true_sizes is not None and len(distribution.true_sizes):
        axes.ecdf(distribution.true_sizes, color=TRUE, linewidth=1.2, label="true")
    if distribution.fit is not None:
        along = _along(_class_edges(distribution)[-1])
        shares = distribution.fit.cumulative(along)
        axes.plot(along, shares, color=FIT, linewidth=1.2, label=distribution.fit.name)
    for share, percentile in _known(distribution.percentiles).items():
        interval = [percentile.low, percentile.high]
        axes.plot(interval, [share / 100] * 2, color=INK, linewidth=1.2, marker="|", markersize=7)
        axes.annotate(
            f"D{share} ",
            (percentile.low, share / 100),
            ha="right",
            va="center",
        )
    axes.set_ylabel(distribution.cumulative)
    axes.set_ylim(0, 1.02)
    _finish(axes, distribution)
    return figure


def _figure(distribution: SizeDistribution) -> tuple[Figure, Axes]:
    """Return an empty figure, its x axis named."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(f"{distribution.quantity} ({distribution.unit})")
    return figure, axes


def _along(largest: float) -> Float[np.ndarray, "m"]:
    """Return sizes at which a fit is drawn; logarithms of them are taken."""
    return np.linspace(largest / 400, largest, 400)


def _known(percentiles: Mapping[int, Estimate]) -> dict[int, Estimate]:
    """Return the percentiles that are numbers: there are none without particles."""
    return {share: each for share, each in percentiles.items() if np.isfinite(each.value)}


def _class_edges(distribution: SizeDistribution) -> Float[np.ndarray, "n"]:
    """Return equal size classes over all sizes, measured and true, starting at a whole class.

    Width after Freedman and Diaconis (Z. Wahrscheinlichkeitstheorie 57, 453, 1981), rounded up to
    1, 2 or 5 times a power of ten, and wider where there would be too many classes.
    """
    true = distribution.true_sizes
    both = distribution.sizes if true is None else np.concatenate([distribution.sizes, true])
    if not len(both):
        return np.array([0.0, 1.0])
    low, high = both.min(), both.max()
    reference = distribution.sizes if len(distribution.sizes) else both
    quartiles = np.percentile(reference, [25, 75])
    width = 2 * (quartiles[1] - quartiles[0]) / len(reference) ** (1 / 3)
    width = max(width, (high - low) / MAX_BINS, high * 1e-3)
    power = 10 ** np.floor(np.log10(width))
    width = next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))
    first, last = np.floor(low / width), np.floor(high / width) + 1
    return np.arange(first, last + 1) * width


def _finish(axes: Axes, distribution: SizeDistribution) -> None:
    """Shade the sizes under the floor, set the range of sizes and write the legend."""
    right = _class_edges(distribution)[-1]
    if distribution.floor is not None:
        axes.axvspan(
            0,
            distribution.floor,
            facecolor="none",
            edgecolor="#8c959f",
            hatch="////",
            linewidth=0,
            label=f"not detectable, < {distribution.floor:.3g} {distribution.unit}",
        )
        right = max(right, 2 * distribution.floor)
    axes.set_xlim(0, 1.02 * right)
    if axes.get_legend_handles_labels()[0]:
        axes.figure.legend(loc="outside lower center", ncols=2)


def numbered_overlay(
    image: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"]
) -> Figure:
    """Return the colored overlay of the image, pixel for pixel, every particle numbered."""
    height, width = image.shape
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.imshow(overlay(image, labels), extent=(0, width, height, 0), interpolation="none")
    size = float(np.clip(max(height, width) / 160, 5, 11))
    outline = [withStroke(linewidth=size / 5, foreground="black")]
    for label, x, y in number_places(labels):
        axes.text(
            x,
            y,
            str(int(label)),
            color="white",
            fontsize=size,
            ha="center",
            va="center",
            path_effects=outline,
        )
    return figure


@matplotlib.rc_context(STYLE)
def save(figure: Figure, stem: Path) -> None:
    """Write the figure as `stem`.png and `stem`.svg; the same figure gives the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(stem.with_name(stem.name + ".png"), dpi=200, metadata={"Software": None})
    figure.savefig(stem.with_name(stem.name + ".svg"), metadata={"Date": None})


def save_pixels(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG file, pixel for pixel."""
    figure.savefig(path, metadata={"Software": None})
