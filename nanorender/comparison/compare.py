"""Comparison of real and synthetic images: terms of the loss, and a classifier of patches.

A classifier that is right half of the time cannot distinguish them (Lopez-Paz & Oquab, "Revisiting
classifier two-sample tests", ICLR 2017).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from nanorender.calibration.image_statistics import (
    GrayImage,
    gradient,
    local_deviation,
    radial_power,
)
from nanorender.calibration.observation import (
    LossTerms,
    Observation,
    observe_like,
    observe_reference,
    pool_observations,
)
from nanorender.calibration.views import tile_corners, tiles
from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file

_TILE_PX = 512  # of the loss
_PATCH_PX = 128  # of the classifier
_MOST_PATCHES = 600
_WAITING_VIEWS = 16  # tiles in memory for threads to work on
_QUANTILES = np.linspace(0.02, 0.98, 13)
_FOLDS = 5
_SHOWN_PATCHES = 6  # of either set


class Comparison(NamedTuple):
    """Similarity of two sets of images.

    Attributes
    ----------
    terms : of the loss
    accuracy : share of patches, from images not used for training, that a classifier assigns to the
        right set, both sets weighted equally; 0.5 means the sets are indistinguishable
    interval : 95 % confidence interval of the accuracy for independent patches
    patches : (n) of both sets
    synthetic : (n) 1 for synthetic patches, 0 for real ones
    probability : (n) of being synthetic, from the classifier
    """

    terms: LossTerms
    accuracy: float
    interval: tuple[float, float]
    patches: list[GrayImage]
    synthetic: Int[np.ndarray, "n"]
    probability: Float[np.ndarray, "n"]


def compare_images(
    real: Sequence[GrayImage], synthetic: Sequence[GrayImage], dark: bool
) -> Comparison:
    """Compare two sets of images of similar pixel size.

    Parameters
    ----------
    real, synthetic : gray images, of which few are in memory at a time if the sequence reads them
        on demand
    dark : whether particles are darker than the substrate

    Returns
    -------
    Terms of the loss and the classifier's accuracy.

    Raises
    ------
    InputError
        If an image is smaller than two patches or changes meanwhile, or the real images show no
        particles.

    Examples
    --------
    >>> rows, columns = np.mgrid[:256, :512] % 64
    >>> discs = np.where(np.hypot(rows - 32, columns - 32) <= 16, 140.0, 40.0)
    >>> noise = np.random.default_rng(0).standard_normal((2, 256, 512))
    >>> real, synthetic = (discs + [[[2.0]], [[8.0]]] * noise).astype(np.float32)
    >>> compare_images([real], [synthetic], dark=False).accuracy
    1.0
    """
    shapes = [[image.shape for image in images] for images in (real, synthetic)]
    edge = min(side for shape in (*shapes[0], *shapes[1]) for side in shape)
    if edge < 2 * _PATCH_PX:
        raise InputError(
            f"the smallest image has {edge} rows or columns; comparing needs at least "
            f"{2 * _PATCH_PX}"
        )
    # Compute the loss from the largest common tiles.
    real_tiles, synthetic_tiles = (
        _Tiles(images, min(edge, _TILE_PX)) for images in (real, synthetic)
    )
    reference = observe_reference(real_tiles, dark)
    pooled = pool_observations(_observations(reference, synthetic_tiles))
    # Train classifiers on patches and test them on those of other images.
    patches, kind, group = _patches((real, synthetic), shapes)
    probability = _probabilities(np.stack([_features(p) for p in patches]), kind, group)
    right = (probability > 0.5) == (kind == 1)
    accuracy = float((right[kind == 1].mean() + right[kind == 0].mean()) / 2)
    margin = 1.96 * float(np.sqrt(accuracy * (1 - accuracy) / len(kind)))
    return Comparison(
        terms=reference.loss_terms(pooled.features),
        accuracy=accuracy,
        interval=(max(accuracy - margin, 0.0), min(accuracy + margin, 1.0)),
        patches=patches,
        synthetic=kind,
        probability=probability,
    )


@dataclass(frozen=True)
class _Tiles:
    """Tiles of images, which are read one after the other each time."""

    images: Sequence[GrayImage]
    edge_px: int

    def __iter__(self) -> Iterator[GrayImage]:
        for image in self.images:
            yield from tiles(image, self.edge_px)


def _observations(reference: Observation, views: Iterable[GrayImage]) -> Iterator[Observation]:
    """Observe views in several threads, with few of them in memory at a time."""
    with ThreadPoolExecutor() as threads:
        waiting: deque[Future[Observation]] = deque()
        for view in views:
            waiting.append(threads.submit(observe_like, reference, view))
            if len(waiting) == _WAITING_VIEWS:
                yield waiting.popleft().result()
        yield from (each.result() for each in waiting)


class _Place(NamedTuple):
    """Position of a patch in an image, and its group."""

    image: int
    y: int
    x: int
    group: int


def _patches(
    sets: Sequence[Sequence[GrayImage]], shapes: Sequence[Sequence[tuple[int, ...]]]
) -> tuple[list[GrayImage], Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Return patches, the set and the group of each; as many of each set, evenly spread.

    The patches of an image form a group, or those of each half where a set has a single image.
    """
    in_halves = min(map(len, shapes)) < 2
    places = [_places(of_set, in_halves) for of_set in shapes]
    count = min(*map(len, places), _MOST_PATCHES // 2)
    patches, kind, group = [], [], []
    for which, (images, rows) in enumerate(zip(sets, places, strict=True)):
        chosen = [rows[k] for k in np.linspace(0, len(rows) - 1, count).round().astype(int)]
        for index, of_image in groupby(chosen, lambda place: place.image):
            image = images[index]
            if image.shape != shapes[which][index]:
                raise InputError("an image has changed while it was compared; compare again")
            for place in of_image:
                patch = image[place.y : place.y + _PATCH_PX, place.x : place.x + _PATCH_PX]
                patches.append(patch.copy())
                kind.append(which)
                group.append(2 * place.group + which)
    return patches, np.array(kind), np.array(group)


def _places(shapes: Sequence[tuple[int, ...]], in_halves: bool) -> list[_Place]:
    """List the patches of images, or of their left and right halves."""
    places = []
    group = 0
    for index, (height, width) in enumerate(shapes):
        limits = (0, width // 2, width) if in_halves else (0, width)
        for left, right in pairwise(limits):
            corners = tile_corners((height, right - left), _PATCH_PX)
            places += [_Place(index, y, left + x, group) for y, x in corners]
            group += 1
    return places


def _features(patch: GrayImage) -> Float[np.ndarray, "features"]:
    """Return quantiles of levels, gradients and local contrast, and the spectrum of a patch."""
    parts = [np.quantile(patch, _QUANTILES)]
    parts += [np.log(np.quantile(gradient(patch, s), _QUANTILES) + 0.1) for s in (1.0, 2.0)]
    parts += [np.log(np.quantile(local_deviation(patch, w), _QUANTILES) + 0.1) for w in (5, 17)]
    return np.concatenate([*parts, np.log(radial_power(patch) + 1e-6)])


def _probabilities(
    features: Float[np.ndarray, "n features"],
    kind: Int[np.ndarray, "n"],
    group: Int[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return the probability that each patch is synthetic, from classifiers without its group.

    Logistic regression cannot memorize patches, and its regularization needs no tuning here.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    groups = min(len(np.unique(group[kind == which])) for which in (0, 1))
    folds = StratifiedGroupKFold(min(_FOLDS, groups), shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    predicted = cross_val_predict(
        model, features, kind, groups=group, cv=folds, method="predict_proba"
    )
    return np.asarray(predicted)[:, 1]


def comparison_lines(comparison: Comparison) -> list[str]:
    """Format a comparison as text.

    Parameters
    ----------
    comparison : of two sets of images

    Returns
    -------
    One line for each term, the loss and the classifier.
    """
    low, high = comparison.interval
    return [
        *(f"{name:10} {value:.3f}" for name, value in comparison.terms._asdict().items()),
        f"{'loss':10} {comparison.terms.loss():.3f}",
        f"{'classifier':10} {comparison.accuracy:.3f} of {len(comparison.patches)} patches right "
        f"({low:.3f} to {high:.3f}); 0.5 means the sets are indistinguishable",
    ]


def write_worst_patches(comparison: Comparison, path: Path) -> None:
    """Write the real and the synthetic patches that the classifier recognizes most confidently.

    Parameters
    ----------
    comparison : of two sets of images
    path : PNG file

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    figure = Figure(figsize=(1.7 * _SHOWN_PATCHES, 4.2), layout="constrained")
    grid = figure.subplots(2, _SHOWN_PATCHES, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for which, (line, name) in enumerate(zip(grid, ("real", "synthetic"), strict=True)):
        rows = np.flatnonzero(comparison.synthetic == which)
        certainty = np.abs(comparison.probability[rows] - (1 - which))
        worst = rows[np.argsort(-certainty, kind="stable")[:_SHOWN_PATCHES]]
        for axes, k in zip(line, worst, strict=False):
            axes.imshow(comparison.patches[k], cmap="gray", vmin=0, vmax=255)
            axes.set_title(f"{name}: {comparison.probability[k]:.0%} synthetic", fontsize=7)
    with atomic_file(path) as part:
        figure.savefig(part, format="png", dpi=110)
