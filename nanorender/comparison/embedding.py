"""Embedding of real and synthetic patches in the plane, by the features of a neural network.

After Mill et al. (2021), figure 3: the features of patches are reduced by principal component
analysis and embedded by t-SNE (van der Maaten & Hinton 2008, J. Machine Learning Research 9, 2579).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file, write_text
from nanorender.files.micrograph import Micrograph
from nanorender.report.overlay import to_uint8
from nanorender.statistics.nanoscale import wilson_interval

PATCH_PX = 144  # Mill et al. (2021)
_EXPLAINED = 0.9  # share of the variance that the principal components keep
_PERPLEXITY = 30.0
_LEAST_PATCHES = 5
_COLORS = {"real": "#0072b2", "synthetic": "#d55e00"}
_THUMBNAILS_ACROSS = 14
_SAME_SCALE = 1.1  # largest ratio of pixel sizes that count as equal

_NamedPatch = tuple[str, UInt8[np.ndarray, "144 144"]]  # with the name of its image


@dataclass(frozen=True)
class FeatureExtractor:
    """Named function that computes the features of patches.

    Attributes
    ----------
    name : of the features
    extract : returns the features (n, f) of gray patches (n, h, w)

    Examples
    --------
    >>> mean_level = FeatureExtractor("level", lambda patches: patches.mean(axis=(1, 2))[:, None])
    >>> mean_level.extract(np.full((2, 144, 144), 90, np.uint8)).tolist()
    [[90.0], [90.0]]
    """

    name: str
    extract: Callable[[UInt8[np.ndarray, "n h w"]], Float[np.ndarray, "n f"]]


@dataclass(frozen=True)
class Embedding:
    """Patches in the plane, real ones first.

    Attributes
    ----------
    pixels : (n, 144, 144) gray patches
    table : one row per patch: kind ("real" or "synthetic"), image, tsne_x, tsne_y
    features : name of the features
    components : number of principal components
    neighbor_accuracy : share of patches whose nearest neighbor among the principal components is of
        the same kind, both kinds weighted equally: 0.5 if the sets are indistinguishable, 1 if they
        are separate (Lopez-Paz & Oquab, ICLR 2017)
    interval : its 95 % confidence interval, after Wilson
    """

    pixels: UInt8[np.ndarray, "n 144 144"]
    table: pd.DataFrame
    features: str
    components: int
    neighbor_accuracy: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{'neighbors':10} {self.neighbor_accuracy:.3f} of {len(self.table)} patches nearest "
            f"to one of their own set ({low:.3f} to {high:.3f}); features: {self.features}"
        )


def tiled_patches(images: Sequence[Micrograph], count: int) -> list[_NamedPatch]:
    """Cut adjacent patches from images, row by row.

    Parameters
    ----------
    images : images of any bit depth
    count : maximum number of patches

    Returns
    -------
    All patches, or `count` of them spread evenly.
    """
    # Choose places before patches are cut, so that one image at a time is in memory.
    places = [
        (index, corner)
        for index, image in enumerate(images)
        for corner in product(
            *(range(0, edge - PATCH_PX + 1, PATCH_PX) for edge in image.image.shape)
        )
    ]
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    found = []
    for index, of_image in groupby((places[k] for k in chosen), lambda place: place[0]):
        image = images[index]
        gray = to_uint8(image.image)
        found += [(image.name, _patch(gray, *corner)) for _, corner in of_image]
    return found


def random_patches(
    images: Sequence[Micrograph], count: int, rng: np.random.Generator
) -> list[_NamedPatch]:
    """Cut patches from random positions in random images.

    Parameters
    ----------
    images : images of any bit depth; those smaller than a patch give none
    count : number of patches
    rng : source of randomness

    Returns
    -------
    Patches in the order of the images.
    """
    found = []
    counts = rng.multinomial(count, [1 / len(images)] * len(images))
    for index in np.flatnonzero(counts).tolist():
        image, number = images[index], counts[index]
        room = [edge - PATCH_PX + 1 for edge in image.image.shape]
        if min(room) < 1:
            continue
        gray = to_uint8(image.image)
        corners = rng.integers(room, size=(number, 2)).tolist()
        found += [(image.name, _patch(gray, *corner)) for corner in corners]
    return found


def _patch(gray: np.ndarray, top: int, left: int) -> np.ndarray:
    return gray[top : top + PATCH_PX, left : left + PATCH_PX].copy()


def embed_images(
    real: Sequence[Micrograph],
    synthetic: Sequence[Micrograph],
    extractor: FeatureExtractor,
    count: int,
    seed: int,
) -> Embedding:
    """Embed patches of real and synthetic images by their features.

    Parameters
    ----------
    real, synthetic : images of similar pixel size
    extractor : computes the features
    count : maximum number of patches of each kind
    seed : of the patches' positions and of t-SNE

    Returns
    -------
    Patches in the plane, and how well their nearest neighbors separate the kinds.

    Raises
    ------
    InputError
        If there are fewer than five patches of either kind.
    """
    tiled = tiled_patches(real, count)
    drawn = random_patches(synthetic, len(tiled), np.random.default_rng(seed))
    for kind, patches in (("real", tiled), ("synthetic", drawn)):
        if len(patches) < _LEAST_PATCHES:
            raise InputError(
                f"{len(patches)} {kind} patches of {PATCH_PX} x {PATCH_PX} pixels are too few to "
                f"compare; give larger or more images, for at least {_LEAST_PATCHES}"
            )
    return _embed(tiled, drawn, extractor, seed)


def _embed(
    real: list[_NamedPatch], synthetic: list[_NamedPatch], extractor: FeatureExtractor, seed: int
) -> Embedding:
    """Embed patches by principal component analysis and t-SNE."""
    names, patches = zip(*real, *synthetic, strict=True)
    pixels, is_real = np.array(patches), np.arange(len(patches)) < len(real)
    components = _principal_components(extractor.extract(pixels))
    perplexity = min(_PERPLEXITY, (len(components) - 1) / 3)
    places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(components)
    x, y = np.asarray(places, float).T
    kind = np.where(is_real, "real", "synthetic")
    accuracy = _neighbor_accuracy(components, is_real)
    return Embedding(
        pixels=pixels,
        table=pd.DataFrame({"kind": kind, "image": names, "tsne_x": x, "tsne_y": y}),
        features=extractor.name,
        components=components.shape[1],
        neighbor_accuracy=accuracy,
        interval=wilson_interval(accuracy, float(len(components)), 0.95),
    )


def _principal_components(features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n c"]:
    """Return as many components as explain 90 % of the variance, at least two for the plane."""
    analysis = PCA().fit(features)
    explained = np.cumsum(analysis.explained_variance_ratio_)
    needed = max(int(np.searchsorted(explained, _EXPLAINED)) + 1, 2)
    return analysis.transform(features)[:, :needed]


def _neighbor_accuracy(
    components: Float[np.ndarray, "n c"], is_real: Bool[np.ndarray, "n"]
) -> float:
    """Return the share of patches with a nearest neighbor of their kind, averaged over kinds."""
    _, nearest = NearestNeighbors(n_neighbors=2).fit(components).kneighbors(components)
    same = is_real[nearest[:, 1]] == is_real
    return float((same[is_real].mean() + same[~is_real].mean()) / 2)


def note_on_scale(real: Micrograph, synthetic: Micrograph) -> str | None:
    """Compare pixel sizes, which must be similar for a meaningful comparison.

    Parameters
    ----------
    real, synthetic : an image of each set

    Returns
    -------
    Note for the user if both pixel sizes are known and differ by 10 % or more.
    """
    theirs, ours = real.pixel_size_nm, synthetic.pixel_size_nm
    if ours is None or theirs is None or max(ours, theirs) < _SAME_SCALE * min(ours, theirs):
        return None
    return (
        f"the pixel size of the real images is {theirs:.3g} nm, that of the synthetic ones "
        f"{ours:.3g} nm, which alone distinguishes them; 'generate --pixel-size-nm {theirs:.4g}' "
        "renders to scale"
    )


def embedding_figure(embedding: Embedding) -> Figure:
    """Plot patches in the plane, with thumbnails where there is room.

    Parameters
    ----------
    embedding : to plot

    Returns
    -------
    Figure of 8 x 8 inches.
    """
    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    kinds, places = embedding.table["kind"], embedding.table[["tsne_x", "tsne_y"]].to_numpy()
    low, high = places.min(axis=0), places.max(axis=0)
    places = (places - low) / np.maximum(high - low, 1e-9)
    for kind, color in _COLORS.items():
        of_kind = (kinds == kind).to_numpy()
        label = f"{kind} ({of_kind.sum()} patches)"
        axes.scatter(*places[of_kind].T, s=14, color=color, label=label)
    _add_thumbnails(axes, places, embedding)
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06), xticks=[], yticks=[], aspect="equal")
    low_share, high_share = embedding.interval
    axes.set_title(
        f"Features: {embedding.features}; {embedding.components} principal components explain "
        f"{_EXPLAINED:.0%} of the variance.\nNearest neighbor of the same kind: "
        f"{embedding.neighbor_accuracy:.0%} ({low_share:.0%} to {high_share:.0%}); 50 % if "
        "indistinguishable, 100 % if separate.",
        fontsize=9,
        loc="left",
    )
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _add_thumbnails(axes: Axes, places: Float[np.ndarray, "n 2"], embedding: Embedding) -> None:
    """Draw patches that do not cover each other, framed in the color of their kind."""
    drawn = np.full((0, 2), np.inf)
    for index in np.random.default_rng(0).permutation(len(places)):
        if (np.abs(drawn - places[index]).max(axis=1) < 1 / _THUMBNAILS_ACROSS).any():
            continue
        drawn = np.vstack([drawn, places[index]])
        x, y = places[index]
        color = _COLORS[embedding.table["kind"].iloc[index]]
        gray = np.repeat(embedding.pixels[index][..., None], 3, axis=-1)  # keeps the contrast
        picture = OffsetImage(gray, zoom=0.21)
        frame = {"edgecolor": color, "linewidth": 1.8}
        axes.add_artist(AnnotationBbox(picture, (x, y), pad=0.05, bboxprops=frame))


def write_embedding(embedding: Embedding, path: Path) -> None:
    """Write the plot as PNG and the coordinates of the patches as CSV beside it.

    Parameters
    ----------
    embedding : to write
    path : PNG file

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    with atomic_file(path) as part:
        embedding_figure(embedding).savefig(
            part, format="png", dpi=150, metadata={"Software": None}
        )
    write_text(path.with_suffix(".csv"), embedding.table.to_csv(index=False, lineterminator="\n"))
