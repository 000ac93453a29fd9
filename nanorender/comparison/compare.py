"""Comparison of real and synthetic images: terms of the loss, and a classifier of patches.

A classifier that is right half of the time cannot tell them apart (Lopez-Paz & Oquab 2017,
classifier two-sample tests).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from nanorender.calibration.estimate import gradient
from nanorender.calibration.likeness import Terms, local_deviation, radial_power
from nanorender.calibration.sheet import refuse_other_than_png
from nanorender.calibration.views import Scale, View, compared, shown, target, tiles
from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file

PATCH_PX = 128
QUANTILES = np.linspace(0.02, 0.98, 13)
FOLDS = 5
WORST = 6
MOST_PATCHES = 600


class Comparison(NamedTuple):
    """How alike two sets of images are.

    terms: of the loss
    accuracy: share of patches, of images that it did not learn from, which a classifier assigns
        to the right set; sets weigh alike, so that 0.5 is what guessing reaches
    interval: of 95 % for the accuracy, as if patches were independent
    patches: (n) of both sets
    synthetic: (n) whether each is synthetic
    probability: (n) that it is synthetic, from the classifier
    """

    terms: Terms
    accuracy: float
    interval: tuple[float, float]
    patches: list[View]
    synthetic: Int[np.ndarray, "n"]
    probability: Float[np.ndarray, "n"]


def compare(real: Sequence[View], synthetic: Sequence[View], dark: bool) -> Comparison:
    """Return how alike two sets of images of 256 levels and of about the same pixel size are.

    Raises
    ------
    InputError
        If an image is smaller than two patches, or no particles are found on the real ones.
    """
    edge = min(min(image.shape) for image in (*real, *synthetic))
    if edge < 2 * PATCH_PX:
        raise InputError(
            f"the smallest image has {edge} rows or columns; comparing needs {2 * PATCH_PX}"
        )
    scale = Scale(min(edge, 512), 1, 1.0)
    cut = [
        [tile for image in images for tile in tiles(image, scale.edge_px)]
        for images in (real, synthetic)
    ]
    aim = target(cut[0], scale, 1.0, dark)
    patches, kind, group = _patches(real, synthetic)
    probability = _probabilities(np.stack([_description(p) for p in patches]), kind, group)
    right = (probability > 0.5) == (kind == 1)
    accuracy = float((right[kind == 1].mean() + right[kind == 0].mean()) / 2)
    margin = 1.96 * float(np.sqrt(accuracy * (1 - accuracy) / len(kind)))
    return Comparison(
        terms=compared(aim, shown(cut[1], aim)),
        accuracy=accuracy,
        interval=(max(accuracy - margin, 0.0), min(accuracy + margin, 1.0)),
        patches=patches,
        synthetic=kind,
        probability=probability,
    )


def _patches(
    real: Sequence[View], synthetic: Sequence[View]
) -> tuple[list[View], Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Return patches, the set and the group of each; as many of either set, evenly spread.

    Patches of one image are one group, or of one half of it where a set has a single image.
    """
    halves = min(len(real), len(synthetic)) < 2
    sets = []
    for images in (real, synthetic):
        rows = []
        for number, image in enumerate(images):
            middle = image.shape[1] // 2
            parts = (image[:, :middle], image[:, middle:]) if halves else (image,)
            rows += [
                (patch, 2 * number + half)
                for half, part in enumerate(parts)
                for patch in tiles(part, PATCH_PX)
            ]
        sets.append(rows)
    count = min(*map(len, sets), MOST_PATCHES // 2)
    patches, kind, group = [], [], []
    for which, rows in enumerate(sets):
        for k in np.linspace(0, len(rows) - 1, count).round().astype(int):
            patches.append(rows[k][0])
            kind.append(which)
            group.append(2 * rows[k][1] + which)
    return patches, np.array(kind), np.array(group)


def _description(patch: View) -> Float[np.ndarray, "features"]:
    """Return what the classifier sees: quantiles of levels, slopes and contrast, and spectrum."""
    parts = [np.quantile(patch, QUANTILES)]
    parts += [np.log(np.quantile(gradient(patch, s), QUANTILES) + 0.1) for s in (1.0, 2.0)]
    parts += [np.log(np.quantile(local_deviation(patch, w), QUANTILES) + 0.1) for w in (5, 17)]
    parts.append(np.log(radial_power(patch) + 1e-6))
    return np.concatenate(parts)


def _probabilities(
    described: Float[np.ndarray, "n features"],
    kind: Int[np.ndarray, "n"],
    group: Int[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return the probability that each patch is synthetic, by classifiers that never saw its group.

    Logistic regression: it cannot learn patches by heart, and its weights need no tuning here.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    groups = min(len(np.unique(group[kind == which])) for which in (0, 1))
    folds = StratifiedGroupKFold(min(FOLDS, groups), shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    chances = cross_val_predict(
        model, described, kind, groups=group, cv=folds, method="predict_proba"
    )
    return np.asarray(chances)[:, 1]


def as_text(comparison: Comparison) -> str:
    """Return the comparison as lines."""
    low, high = comparison.interval
    lines = [f"{name:10} {value:.3f}" for name, value in comparison.terms._asdict().items()]
    lines.append(f"{'loss':10} {comparison.terms.loss():.3f}")
    lines.append(
        f"classifier {comparison.accuracy:.3f} of {len(comparison.patches)} patches right "
        f"({low:.3f} to {high:.3f}); 0.5 is guessing"
    )
    return "\n".join(lines)


def write_worst(comparison: Comparison, path: Path) -> None:
    """Write a PNG of the patches that most surely give real and synthetic images away.

    Raises
    ------
    InputError
        If the file's name does not end in .png, or it cannot be written.
    """
    refuse_other_than_png(path)
    figure = Figure(figsize=(1.7 * WORST, 4.2), layout="constrained")
    grid = figure.subplots(2, WORST, squeeze=False)
    for which, (line, name) in enumerate(zip(grid, ("real", "synthetic"), strict=True)):
        rows = np.flatnonzero(comparison.synthetic == which)
        sure = np.abs(comparison.probability[rows] - (1 - which))
        worst = rows[np.argsort(-sure, kind="stable")[:WORST]]
        for axes in line:
            axes.set_axis_off()
        for axes, k in zip(line, worst, strict=False):
            axes.imshow(comparison.patches[k], cmap="gray", vmin=0, vmax=255)
            chance = comparison.probability[k]
            axes.set_title(f"{name}: {chance:.0%} synthetic", fontsize=7)
    with atomic_file(path) as part:
        figure.savefig(part, format="png", dpi=110)
