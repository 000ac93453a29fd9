"""Doubts about a segmentation, in plain words, from what can be seen without truth."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import kruskal

from nanorender.scoring.results import ImageResult

UNSURE = 0.8
"""Confidence below which a particle is uncertain."""

LARGEST_RELATIVE_LOSS = 3.0
"""Loss of a calibration in noise floors above which its recipe does not fit."""

_MANY_UNSURE = 0.4  # share of uncertain particles
_LEAST_PARTICLES = 10  # below which shares and medians say nothing
_BOTH_WAYS = 0.25  # share of darker particles, and of brighter ones
_LEAST_CONTRAST = 0.5  # in standard deviations of the surroundings
_FULL = 0.85  # covered share of an image
_RAGGED = 0.85  # median solidity
_SEPARABLE = 0.8  # separability from which a threshold finds objects
_LEAST_OVERLAP = 0.4  # of particles and objects; 0.6 and more in rendered images
_MOST_MISSED = 0.3  # share of the objects
_REPEATABLE = 0.7  # repeatability, see unet.repeatability
_SETTLED = 0.7  # agreement of an epoch with its neighbors
_SAME_SCALE = 0.05  # relative difference of two pixel sizes
_MOST_CUT = 0.15  # share of particles cut by the frame
_ALIKE = 2.0  # ratio of the medians of two images
_BY_CHANCE = 0.001  # probability of such images of one sample
_MOST_UNKNOWN = 0.1  # share of particles of other sizes than those of the training


def doubts(results: Sequence[ImageResult], frame_rule: str = "drop") -> list[str]:
    """Check whether the particles of a study are plausible.

    Parameters
    ----------
    results : images with their particles
    frame_rule : rule for particles cut by the frame, a name in `FRAME_RULES`

    Returns
    -------
    doubts : one sentence for each, which names the images; empty if there are none

    Examples
    --------
    >>> from nanorender.measuring.measure import measure
    >>> from nanorender.scoring.results import image_result
    >>> square = np.pad(np.ones((10, 10), int), 5)
    >>> labels = np.kron(np.arange(1, 26).reshape(5, 5), square)
    >>> noise = np.random.default_rng(0).integers(90, 110, labels.shape).astype(np.uint8)
    >>> result = image_result("noise", noise, labels, None, "", measure(labels, None, noise))
    >>> print(*doubts([result]))
    In this image, the particles are hardly brighter or darker than their surroundings...
    """
    found = doubts_in_words({result.name: raised_doubts(result) for result in results})
    cut = _cut_by_frame(results) if frame_rule == "keep" else None
    return [*found, *filter(None, (cut, _unlike_images(results)))]


def raised_doubts(result: ImageResult) -> list[int]:
    """Check whether the particles of an image are plausible.

    Parameters
    ----------
    result : image with its particles

    Returns
    -------
    indices in CHECKS of the checks that raise a doubt
    """
    return [index for index, (check, _) in enumerate(CHECKS) if check(result)]


def doubts_in_words(raised: Mapping[str, Sequence[int]]) -> list[str]:
    """Describe what is doubtful in the images of a study.

    Parameters
    ----------
    raised : what `raised_doubts` returned, by the name of the image

    Returns
    -------
    doubts : one sentence for each check, which names the images
    """
    named = [[name for name in raised if index in raised[name]] for index in range(len(CHECKS))]
    return [
        sentence.format(images=_list_of(names, len(raised)))
        for names, (_, sentence) in zip(named, CHECKS, strict=True)
        if names
    ]


def _is_blank(result: ImageResult) -> bool:
    """Whether nearly all pixels have the same gray level."""
    return result.threshold_agreement.separability == 0.0


def _is_unsure(result: ImageResult) -> bool:
    """Whether many particles are of low confidence."""
    known = result.kept_table["confidence"].dropna().to_numpy(float)
    return len(known) > 0 and float(np.mean(known < UNSURE)) > _MANY_UNSURE


def _is_brighter_and_darker(result: ImageResult) -> bool:
    """Whether many particles are darker than their surroundings, and many brighter."""
    contrast = result.contrasts
    if len(contrast) < _LEAST_PARTICLES:
        return False
    distinct = contrast[np.abs(contrast) > _LEAST_CONTRAST]
    darker = float((distinct < 0).mean()) if len(distinct) else 0.0
    return _BOTH_WAYS < darker < 1 - _BOTH_WAYS


def _is_without_contrast(result: ImageResult) -> bool:
    """Whether most particles differ from their surroundings by less than the noise."""
    contrast = result.contrasts
    few = len(contrast) < _LEAST_PARTICLES
    return not few and float(np.median(np.abs(contrast))) < _LEAST_CONTRAST


def _is_cut_into_pieces(result: ImageResult) -> bool:
    """Whether ragged particles in contact cover nearly all of the image."""
    table = result.kept_table
    if len(table) < _LEAST_PARTICLES or result.coverage < _FULL:
        return False
    return float(np.median(table["solidity"].to_numpy(float))) < _RAGGED


def _is_unlike_threshold(result: ImageResult) -> bool:
    """Whether a threshold separates another area, or objects where there are no particles."""
    agreement = result.threshold_agreement
    if agreement.separability < _SEPARABLE:
        return False
    missed = max(_MOST_MISSED * agreement.objects, _LEAST_PARTICLES)
    return agreement.overlap < _LEAST_OVERLAP or agreement.missed > missed


def _is_not_repeatable(result: ImageResult) -> bool:
    """Whether other particles are found where the image is turned and magnified."""
    repeatability = result.quality.repeatability
    return repeatability is not None and repeatability < _REPEATABLE


def _is_of_other_sizes(result: ImageResult) -> bool:
    """Whether many particles are smaller or larger than those that the network learned."""
    trained = result.quality.trained_diameters_px
    table, edge_nm = result.kept_table, result.pixel_size_nm
    if trained is None or table.empty:
        return False
    column = "equivalent_diameter_px" if edge_nm is None else "equivalent_diameter_nm"
    diameters_px = table[column].to_numpy(float) / (edge_nm or 1.0)
    unknown = (diameters_px < trained[0]) | (diameters_px > trained[1])
    return float(unknown.mean()) > _MOST_UNKNOWN


def _is_of_unsettled_training(result: ImageResult) -> bool:
    """Whether the epoch of the network and its neighbors find other particles."""
    agreement = result.quality.epoch_agreement
    return agreement is not None and agreement < _SETTLED


def _is_of_unfitted_recipe(result: ImageResult) -> bool:
    """Whether the recipe of the training was fitted badly to micrographs."""
    loss = result.quality.relative_loss
    return loss is not None and loss > LARGEST_RELATIVE_LOSS


def _contradicts_scale_bar(result: ImageResult) -> bool:
    """Whether header or user gave another pixel size than the scale bar."""
    used, shown = result.pixel_size_nm, result.quality.scale_bar_pixel_size_nm
    return used is not None and shown is not None and abs(used / shown - 1) > _SAME_SCALE


def _has_pieces(result: ImageResult) -> bool:
    """Whether there is background between the pieces of a particle."""
    return len(result.in_pieces) > 0


CHECKS: tuple[tuple[Callable[[ImageResult], bool], str], ...] = (
    (
        _is_blank,
        "In {images}, nearly all pixels have the same gray level: the image is blank, but its area "
        "counts. Leave it out.",
    ),
    (
        _is_unsure,
        "In {images}, many particles are uncertain (dashed outlines): compare the outlines with "
        "the image before you use the sizes.",
    ),
    (
        _is_brighter_and_darker,
        "In {images}, many particles are brighter than their surroundings and many darker: "
        "background may have been taken for particles.",
    ),
    (
        _is_without_contrast,
        "In {images}, the particles are hardly brighter or darker than their surroundings: texture "
        "or noise may have been taken for particles.",
    ),
    (
        _is_cut_into_pieces,
        "In {images}, ragged particles in contact cover nearly the whole image: texture may have "
        "been cut into pieces.",
    ),
    (
        _is_unlike_threshold,
        "In {images}, a simple threshold separates objects of another area or number than the "
        "particles: particles may have been missed, or background taken for them.",
    ),
    (
        _is_not_repeatable,
        "In {images}, other particles are found when the image is turned and magnified: the "
        "network does not know such images well. Compare the outlines with the image.",
    ),
    (
        _is_of_other_sizes,
        "In {images}, many particles are smaller or larger than those that the network learned: "
        "give the pixel size if it is missing, or train on a recipe of this size.",
    ),
    (
        _is_of_unsettled_training,
        "In {images}, consecutive epochs of the training find other particles: train longer, or "
        "on a recipe that is more like the sample.",
    ),
    (
        _is_of_unfitted_recipe,
        "In {images}, the particles were found by a network that was trained on a badly fitted "
        "recipe (more than three noise floors from its micrographs): fit another recipe.",
    ),
    (
        _contradicts_scale_bar,
        "In {images}, the scale bar states another pixel size than the one that was used: compare "
        "the two.",
    ),
    (
        _has_pieces,
        "In {images}, a label has separate pieces with background between them, which are measured "
        "as one particle: give each particle a label of its own.",
    ),
)
"""Checks of an image, and what is said of the images that they find."""


def _cut_by_frame(results: Sequence[ImageResult]) -> str | None:
    """Say so if many particles are counted with the part of them that the frame shows."""
    cut = np.concatenate([each.kept_table["touches_frame"].to_numpy(bool) for each in results])
    if len(cut) < _LEAST_PARTICLES or cut.mean() <= _MOST_CUT:
        return None
    return (
        f"{100 * cut.mean():.0f} % of the particles are cut by the frame and counted with their "
        "visible size, so sizes are too small: --frame miles_lantuejoul leaves them out and "
        "weights the others."
    )


def _unlike_images(results: Sequence[ImageResult]) -> str | None:
    """Say so if images show particles of very different sizes.

    Whether chance explains it is tested after Kruskal and Wallis, J. Am. Statistical Association 47
    (1952) 583.
    """
    units = ["px" if each.pixel_size_nm is None else "nm" for each in results]
    sizes = [
        each.kept_table[f"equivalent_diameter_{unit}"].to_numpy(float)
        for each, unit in zip(results, units, strict=True)
    ]
    counted = [k for k, of_image in enumerate(sizes) if len(of_image) >= _LEAST_PARTICLES]
    medians = [float(np.median(sizes[k])) for k in counted]
    if len({units[k] for k in counted}) != 1 or max(medians) <= _ALIKE * min(medians):
        return None
    if kruskal(*(sizes[k] for k in counted)).pvalue > _BY_CHANCE:
        return None  # wide distributions and few particles have such medians, too
    unit = units[counted[0]]
    small, large = counted[int(np.argmin(medians))], counted[int(np.argmax(medians))]
    return (
        f"The median diameters of the images are from {min(medians):.3g} {unit} "
        f"({results[small].name}) to {max(medians):.3g} {unit} ({results[large].name}): together, "
        "their particles describe no one sample. See the sizes by image, or group the images by "
        "--samples."
    )


def _list_of(names: Sequence[str], total: int) -> str:
    """Name the images of a study."""
    if len(names) == total:
        return "this image" if total == 1 else "all images"
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{len(names)} images ({shown} and others)"
