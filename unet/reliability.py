"""Fit of the confidence to synthetic images that were not trained on, and its reliability."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32

from nanorender.errors import InputError
from nanorender.files.dataset import complete_samples
from nanorender.files.labeled import read_sample
from nanorender.separation.separate import Separation
from unet.candidates import Candidates, choose, search
from unet.checkpoint import model_file, read_model, write_model
from unet.confidence import Confidence, fit_confidence, real_particles
from unet.predict import Model, averaged_by_default, make_model, prepare_search, whole_window
from unet.segment import compensate_erosion

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


class _Examples(NamedTuple):
    """Features of candidates, and whether each is real."""

    features: Float[np.ndarray, "n f"]
    real: Bool[np.ndarray, "n"]


class _Graded(NamedTuple):
    """Chosen particles: confidence and truth of each, and number of true particles."""

    confidence: Float[np.ndarray, "n"]
    real: Bool[np.ndarray, "n"]
    true_particles: int


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
    average = averaged_by_default(model, averaged)
    numbers = complete_samples(dataset)
    half = len(numbers) // 2

    # Fit to one half of the images, one at a time, and test on the other
    examples, tested, first = [], [], None
    for done, number in enumerate(numbers):
        on_progress(done, len(numbers))
        candidates, truth = _searched(model, dataset, number, average)
        if done >= half:
            first = first or _fitted(examples, 0.5)
            tested.append(_graded(candidates, truth, first))
        examples.append(_examples(candidates, truth))
    on_progress(len(numbers), len(numbers))

    # Choose the threshold, and fit to all images
    graded = _joined(tested)
    if threshold is None:
        threshold = round(float(max(_THRESHOLDS, key=lambda each: _f1(graded, each))), 2)
    confidence = _fitted(examples, threshold)
    write_model(model_file(path), card.model_copy(update={"confidence": confidence}), weights)
    return ConfidenceFit(
        confidence,
        len(numbers),
        sum(len(each.real) for each in examples),
        reliability(graded.confidence, graded.real),
        _f1(graded, threshold),
    )


def _searched(
    model: Model, dataset: Path, number: int, averaged: bool
) -> tuple[list[Candidates], Int32[np.ndarray, "h w"]]:
    """Search a sample of a dataset; return the candidates and the true labels."""
    image, truth, pixel_size_nm, _ = read_sample(dataset, number)
    prepared = prepare_search(model, image, pixel_size_nm)
    separation = compensate_erosion(Separation(), model.card.training)
    found = search(model, prepared, whole_window(image.shape), separation, averaged)
    return found.candidates, truth.astype(np.int32)


def _examples(candidates: Sequence[Candidates], truth: Int32[np.ndarray, "h w"]) -> _Examples:
    """Compare all candidates of an image with the truth."""
    return _Examples(
        np.concatenate([each.features for each in candidates]),
        np.concatenate([real_particles(each.labels, truth) for each in candidates]),
    )


def _fitted(examples: Sequence[_Examples], threshold: float) -> Confidence:
    """Fit the confidence to the candidates of some images."""
    real = np.concatenate([each.real for each in examples]) if examples else np.zeros(0, bool)
    if len(np.unique(real)) < 2:
        raise InputError(
            "the images must hold both real and false candidates; give more of them, such as 200"
        )
    return fit_confidence(np.concatenate([each.features for each in examples]), real, threshold)


def _graded(
    candidates: Sequence[Candidates], truth: Int32[np.ndarray, "h w"], confidence: Confidence
) -> _Graded:
    """Choose the particles of an image, whatever their confidence."""
    particles = choose([each.graded(confidence) for each in candidates], 0.0)
    real = real_particles(particles.labels, truth)
    return _Graded(particles.confidence, real, len(np.unique(truth[truth > 0])))


def _joined(graded: Sequence[_Graded]) -> _Graded:
    """Join the particles of several images."""
    confidence, real, true_particles = zip(*graded, strict=True)
    return _Graded(np.concatenate(confidence), np.concatenate(real), sum(true_particles))


def _f1(graded: _Graded, threshold: float) -> float:
    """Compute the F1 score of the particles that are kept."""
    kept = graded.confidence >= threshold
    found = np.count_nonzero(graded.real & kept)
    return 2 * found / max(np.count_nonzero(kept) + graded.true_particles, 1)


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
