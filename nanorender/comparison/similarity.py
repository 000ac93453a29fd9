"""How alike real and synthetic images look to a network: features, embedded in the plane.

After Mill et al. (2021), figure 3: patches of real and of synthetic images are described by a
network's features, reduced by principal components, and laid out by t-SNE (van der Maaten and
Hinton, J. Machine Learning Research 9 (2008) 2579), where like lies beside like.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Integer, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file, write_text
from nanorender.report.overlay import displayed
from nanorender.statistics.nanoscale import wilson_interval

PATCH_PX = 144  # Mill et al. (2021)
EXPLAINED = 0.9  # share of the variance that the principal components keep
PERPLEXITY = 30.0
LEAST_PATCHES = 5
COLOURS = {True: "#0072b2", False: "#d55e00"}  # real, synthetic
THUMBNAILS_ACROSS = 14

Named = tuple[str, Integer[np.ndarray, "_ _"]]  # an image with its name


class Patches(NamedTuple):
    """Squares cut out of images: (n, 144, 144) gray, and the name of the image of each."""

    pixels: UInt8[np.ndarray, "n 144 144"]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Similarity:
    """Patches in the plane, real ones first.

    Attributes
    ----------
    patches: (n, 144, 144) gray, with the image of each
    is_real: (n,)
    places: (n, 2) by t-SNE
    features: what the patches were described by
    components: principal components that were kept
    told_apart: share of patches whose nearest other one, in the components, is of its own kind: 0.5
        if nobody can tell them apart, 1 if everybody can (Lopez-Paz and Oquab, ICLR 2017)
    interval: of it, 95 %, after Wilson
    """

    patches: Patches
    is_real: Bool[np.ndarray, "n"]
    places: Float[np.ndarray, "n 2"]
    features: str
    components: int
    told_apart: float
    interval: tuple[float, float]

    def table(self) -> pd.DataFrame:
        """Return one row a patch: its kind, its image, its place."""
        kind = np.where(self.is_real, "real", "synthetic")
        x, y = self.places.T
        return pd.DataFrame({"kind": kind, "image": self.patches.sources, "tsne_x": x, "tsne_y": y})


def patches_in_sequence(images: Iterable[Named], count: int) -> Patches:
    """Return the patches that tile the images row by row; at most `count`, evenly chosen."""
    found = []
    for name, image in images:
        gray = displayed(image)
        corners = product(*(range(0, edge - PATCH_PX + 1, PATCH_PX) for edge in gray.shape))
        found += [(name, _patch(gray, *corner)) for corner in corners]
    chosen = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return _stacked([found[index] for index in chosen])


def patches_at_random(
    images: Iterable[Named], number: int, count: int, rng: np.random.Generator
) -> Patches:
    """Return `count` patches from anywhere in the `number` images, each image as likely."""
    found = []
    shares = rng.multinomial(count, [1 / number] * number)
    for (name, image), share in zip(images, shares, strict=True):
        room = [edge - PATCH_PX + 1 for edge in image.shape]
        if min(room) < 1 or share == 0:
            continue
        gray = displayed(image)
        corners = rng.integers(room, size=(share, 2)).tolist()
        found += [(name, _patch(gray, *corner)) for corner in corners]
    return _stacked(found)


def _patch(gray: np.ndarray, top: int, left: int) -> np.ndarray:
    return gray[top : top + PATCH_PX, left : left + PATCH_PX].copy()


def _stacked(found: list[tuple[str, np.ndarray]]) -> Patches:
    pixels = np.array([patch for _, patch in found], np.uint8).reshape(-1, PATCH_PX, PATCH_PX)
    return Patches(pixels, tuple(name for name, _ in found))


def similarity(
    real: Patches,
    synthetic: Patches,
    features: Callable[[np.ndarray], Float[np.ndarray, "n f"]],
    features_name: str,
    seed: int,
) -> Similarity:
    """Return real and synthetic patches embedded by their features.

    Raises
    ------
    InputError
        If there are too few patches of either kind.
    """
    for kind, patches in (("real", real), ("synthetic", synthetic)):
        if len(patches.sources) < LEAST_PATCHES:
            raise InputError(
                f"{len(patches.sources)} {kind} patches of {PATCH_PX} x {PATCH_PX} pixels are too "
                f"few to compare; give larger images or more, for at least {LEAST_PATCHES}"
            )
    patches = Patches(
        np.concatenate([real.pixels, synthetic.pixels]), real.sources + synthetic.sources
    )
    is_real = np.arange(len(patches.sources)) < len(real.sources)
    described = _principal_components(features(patches.pixels))
    perplexity = min(PERPLEXITY, (len(described) - 1) / 3)
    places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(described)
    share = _told_apart(described, is_real)
    return Similarity(
        patches,
        is_real,
        np.asarray(places, float),
        features_name,
        described.shape[1],
        share,
        wilson_interval(share, float(len(described)), 0.95),
    )


def _principal_components(described: np.ndarray) -> np.ndarray:
    """Return as many as hold `EXPLAINED` of the variance, and two at least, to be laid out."""
    analysis = PCA().fit(described)
    held = np.cumsum(analysis.explained_variance_ratio_)
    needed = max(int(np.searchsorted(held, EXPLAINED)) + 1, 2)
    return analysis.transform(described)[:, :needed]


def _told_apart(described: np.ndarray, is_real: np.ndarray) -> float:
    """Return the mean over both kinds of the share whose nearest neighbor is of their kind."""
    _, nearest = NearestNeighbors(n_neighbors=2).fit(described).kneighbors(described)
    alike = is_real[nearest[:, 1]] == is_real
    return float((alike[is_real].mean() + alike[~is_real].mean()) / 2)


def scatter_plot(found: Similarity) -> Figure:
    """Return the patches in the plane, as many of them as pictures as have room."""
    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    low, high = found.places.min(axis=0), found.places.max(axis=0)
    places = (found.places - low) / np.maximum(high - low, 1e-9)
    for kind, name in ((True, "real"), (False, "synthetic")):
        of_kind = found.is_real == kind
        label = f"{name} ({of_kind.sum()} patches)"
        axes.scatter(*places[of_kind].T, s=14, color=COLOURS[kind], label=label)
    _add_thumbnails(axes, places, found)
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06), xticks=[], yticks=[], aspect="equal")
    low_share, high_share = found.interval
    axes.set_title(
        f"Features: {found.features}; {found.components} principal components hold "
        f"{EXPLAINED:.0%} of the variance.\nNearest patch of the same kind: "
        f"{found.told_apart:.0%} ({low_share:.0%} to {high_share:.0%}); 50 % if alike, 100 % if "
        "told apart.",
        fontsize=9,
        loc="left",
    )
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _add_thumbnails(axes: Axes, places: np.ndarray, found: Similarity) -> None:
    """Draw the patches that do not cover one drawn before, framed in the color of their kind."""
    drawn = np.full((0, 2), np.inf)
    for index in np.random.default_rng(0).permutation(len(places)):
        if (np.abs(drawn - places[index]).max(axis=1) < 1 / THUMBNAILS_ACROSS).any():
            continue
        drawn = np.vstack([drawn, places[index]])
        x, y = places[index]
        colour = COLOURS[bool(found.is_real[index])]
        gray = np.repeat(found.patches.pixels[index][..., None], 3, axis=-1)  # not stretched
        picture = OffsetImage(gray, zoom=0.21)
        frame = {"edgecolor": colour, "linewidth": 1.8}
        axes.add_artist(AnnotationBbox(picture, (x, y), pad=0.05, bboxprops=frame))


def write_similarity(found: Similarity, path: Path) -> None:
    """Write the plot as a PNG file, and beside it the place of each patch as a CSV file.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    with atomic_file(path) as part:
        scatter_plot(found).savefig(part, format="png", dpi=150, metadata={"Software": None})
    write_text(path.with_suffix(".csv"), found.table().to_csv(index=False))
