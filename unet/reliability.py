"""Fit of the confidence to synthetic images that were not trained on, and its reliability."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt16

from nanorender.errors import InputError
from nanorender.files.dataset import complete_samples
from nanorender.files.labeled import read_sample
from nanorender.separation.separate import Separation
from unet.candidates import Candidates, choose, search
from unet.checkpoint import model_file, read_model, write_model
from unet.confidence import Confidence, fit_confidence, real_particles
from unet.predict import Model, averaged_by_default, make_model, prepare_search, whole_window

_THRESHOLDS = np.arange(0.02, 0.99, 0.02)


class ReliabilityBin(NamedTuple):
    """Particles of about the same confidence.

    Attributes
    ----------
    confidence : mean confidence
    real : share of real particles
    particles : number of particles
    """

    confidence: float
    real: float
    particles: int


class ConfidenceFit(NamedTuple):
    """Outcome of a fit.

    Attributes
    ----------
    confidence : fitted confidence, with its threshold
    images, candidates : number of images, and of candidates that it was fitted to
    bins : reliability on the images of the second half, of a fit to those of the first half
    f1 : F1 score of the particles of these images at the threshold
    """

    confidence: Confidence
    images: int
    candidates: int
    bins: list[ReliabilityBin]
    f1: float


class _Graded(NamedTuple):
    """Chosen particles of some images: confidence and truth of each, and number of true ones."""

    confidence: Float[np.ndarray, "n"]
    real: Bool[np.ndarray, "n"]
    true_particles: int


class _HeldOut(NamedTuple):
    """An image with its candidates and truth."""

    candidates: list[Candidates]
    truth: UInt16[np.ndarray, "h w"]


def fit_model(
    path: Path,
    dataset: Path,
    averaged: bool | None = None,
    threshold: float | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ConfidenceFit:
    """Fit the confidence of a model and write it into the model file.

    Parameters
    ----------
    path : run folder or model file
    dataset : images of the kind of the training, but of another seed
    averaged : whether to average predictions over flips and zooms; None as in `segment`
    threshold : confidence below which particles are discarded by default; None for the one of the
        highest F1 score on the images
    on_progress : called with the number of images done and their total

    Returns
    -------
    fit : fitted confidence and its reliability

    Raises
    ------
    InputError
        If the model or the dataset cannot be read, or the images hold too few particles.
    """
    card, weights = read_model(path)
    model = make_model(card, weights)
    numbers = complete_samples(dataset)
    images = []
    for index in numbers:
        on_progress(len(images), len(numbers))
        images.append(_searched(model, dataset, index, averaged_by_default(model, averaged)))
    on_progress(len(images), len(numbers))

    # Test a fit to one half on the other; then fit to all images
    half = len(images) // 2
    first = _fitted(images[:half], 0.5)
    tested = _graded(images[half:], first)
    best, f1 = _best_threshold(tested)
    chosen = best if threshold is None else threshold
    confidence = _fitted(images, chosen)
    write_model(model_file(path), card.model_copy(update={"confidence": confidence}), weights)
    count = sum(len(each.features) for image in images for each in image.candidates)
    return ConfidenceFit(
        confidence, len(images), count, reliability(tested.confidence, tested.real), f1
    )


def _searched(model: Model, dataset: Path, index: int, averaged: bool) -> _HeldOut:
    """Search an image of a dataset; labels are kept in 16 bits."""
    image, labels, pixel_size_nm, _ = read_sample(dataset, index)
    prepared = prepare_search(model, image, pixel_size_nm)
    window = whole_window(image.shape)
    found = search(model, prepared, window, Separation(), averaged)
    return _HeldOut(found.candidates, labels.astype(np.uint16))


def _fitted(images: Sequence[_HeldOut], threshold: float) -> Confidence:
    """Fit the confidence to all candidates of some images."""
    features, real = [], []
    for candidates, truth in images:
        for each in candidates:
            features.append(each.features)
            real.append(real_particles(each.labels, truth.astype(np.int32)))
    if not real or len(np.unique(np.concatenate(real))) < 2:
        raise InputError(
            "the images must hold both real and false candidates; give more of them, such as 200"
        )
    return fit_confidence(np.concatenate(features), np.concatenate(real), threshold)


def _graded(images: Sequence[_HeldOut], confidence: Confidence) -> _Graded:
    """Choose the particles of some images, whatever their confidence."""
    values, real, true_particles = [], [], 0
    for candidates, truth in images:
        particles = choose([each.graded(confidence) for each in candidates], 0.0)
        values.append(particles.confidence)
        real.append(real_particles(particles.labels, truth.astype(np.int32)))
        true_particles += len(np.unique(truth[truth > 0]))
    return _Graded(np.concatenate(values), np.concatenate(real), true_particles)


def _best_threshold(graded: _Graded) -> tuple[float, float]:
    """Find the threshold of the highest F1 score, and this score."""
    scores = []
    for threshold in _THRESHOLDS:
        kept = graded.confidence >= threshold
        found = np.count_nonzero(graded.real & kept)
        scores.append(2 * found / max(np.count_nonzero(kept) + graded.true_particles, 1))
    best = int(np.argmax(scores))
    return round(float(_THRESHOLDS[best]), 2), float(scores[best])


def reliability(
    confidence: Sequence[float] | Float[np.ndarray, "n"],
    real: Bool[np.ndarray, "n"],
    bins: int = 10,
) -> list[ReliabilityBin]:
    """Compare confidences with the share of real particles, bin by bin.

    Parameters
    ----------
    confidence : (n,) confidences
    real : (n,) whether each particle is real
    bins : number of bins of equal width

    Returns
    -------
    bins : those that are not empty (reliability diagram; Niculescu-Mizil and Caruana, ICML 2005)

    Examples
    --------
    >>> import numpy as np
    >>> reliability([0.12, 0.18, 0.91, 0.93], np.array([False, False, True, False]))[1]
    ReliabilityBin(confidence=0.92, real=0.5, particles=2)
    """
    values = np.asarray(confidence, float)
    number = np.minimum((values * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(
            confidence=round(float(values[number == k].mean()), 6),
            real=round(float(real[number == k].mean()), 6),
            particles=int(np.count_nonzero(number == k)),
        )
        for k in range(bins)
        if (number == k).any()
    ]


def format_fit(fit: ConfidenceFit) -> list[str]:
    """Format the outcome of a fit for the terminal.

    Parameters
    ----------
    fit : fitted confidence and its reliability

    Returns
    -------
    lines : number of particles, a table of the reliability, and the threshold
    """
    table = [f"{part.confidence:10.2f}  {part.real:4.2f}  {part.particles:9d}" for part in fit.bins]
    return [
        f"fitted to {fit.candidates} candidates in {fit.images} images",
        "confidence  real  particles",
        *table,
        f"threshold {fit.confidence.threshold:.2f}, F1 score {fit.f1:.3f}",
    ]
