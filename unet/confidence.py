"""Confidence: the probability that a particle found by a network is a real one.

A network is sure of a particle if the foreground is high throughout it and drops at its outline,
and if the predicted distance resembles the distance to the boundary of the shape that was found.
Such features of each particle enter a logistic regression (Cox, J. R. Stat. Soc. B 20 (1958) 215),
fitted on synthetic images with truth that the network was not trained on. A particle is real if it
shares at least half of its union with a true one, as in the scores.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, Int32
from pydantic import model_validator

from nanorender.scoring.matching import overlap_table
from nanorender.settings import Fraction, Settings
from unet.targets import boundary_distance

FEATURES = (
    "foreground",
    "weakest_foreground",
    "interior",
    "boundary",
    "contrast",
    "distance_error",
    "distance_correlation",
    "diameter",
    "roundness",
    "contact",
    "at_frame",
)
"""Names of the features, in order; `particle_features` explains them."""

REAL_IOU = 0.5
"""Intersection over union with a true particle from which a particle is real."""

_REGULARIZATION = 0.05
"""Inverse strength; on other synthetic images, the log-loss was 0.340 at 1 and 0.331 at 0.05."""
_CORE = 0.35  # of the inscribed radius: pixels deeper than this are the core of a particle
_LEAST_PROBABILITY = 1e-3
_RING_PX = 2  # width of the ring around a particle that its foreground is compared with
_UNKNOWN_RING = 0.25  # foreground around a particle that others enclose


class Confidence(Settings):
    """Logistic regression of the features of a particle."""

    mean: tuple[float, ...]
    """Mean of each feature, which is subtracted."""
    sd: tuple[float, ...]
    """Standard deviation of each feature, by which it is divided."""
    weights: tuple[float, ...]
    """Weight of each feature, of its square, and of each product of two, in this order."""
    intercept: float
    """Log-odds of a particle with mean features."""
    threshold: Fraction
    """Confidence below which particles are discarded, unless another is asked for."""

    @model_validator(mode="after")
    def _check_sizes(self) -> "Confidence":
        count = len(FEATURES)
        expected = (count, count, count + count * (count + 1) // 2)
        if (len(self.mean), len(self.sd), len(self.weights)) != expected:
            raise ValueError(f"must have mean, sd and weights of {count} features")
        return self

    def probability(self, features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n"]:
        """Compute the probability that particles are real.

        Parameters
        ----------
        features : (n, f) features of `particle_features`

        Returns
        -------
        probability : (n,) from 0 to 1
        """
        score = _terms((features - self.mean) / self.sd) @ np.array(self.weights) + self.intercept
        return 1 / (1 + np.exp(-np.clip(score, -30, 30)))


def particle_features(
    labels: Int32[np.ndarray, "h w"],
    maps: Mapping[str, Float[np.ndarray, "h w"]],
) -> Float[np.ndarray, "n f"]:
    """Compute the features that the confidence of particles depends on.

    In the order of `FEATURES`: log-odds of the mean foreground, and of the mean less the standard
    deviation; log-odds of the mean interior and mean boundary in the core; mean foreground less
    that of the ring around the particle; mean absolute difference and correlation of the predicted
    distance and that to the boundary of the particle; logarithm of the equivalent diameter in
    pixels; inscribed over equivalent diameter; share of the outline that
    touches other particles; whether the particle touches the frame. Features of targets that the
    network does not predict are 0.

    Parameters
    ----------
    labels : (h, w) label map, particles numbered from 1 without gaps
    maps : (h, w) predicted maps by name

    Returns
    -------
    features : (n, f) features of particles 1 to n

    Examples
    --------
    >>> import numpy as np
    >>> square = np.zeros((40, 40), np.int32)
    >>> square[10:30, 10:30] = 1
    >>> features = particle_features(square, {"foreground": 0.9 * (square > 0)})
    >>> features.shape, round(float(features[0, FEATURES.index("contrast")]), 2)
    ((1, 11), 0.9)
    """
    count = int(labels.max(initial=0))
    if count == 0:
        return np.zeros((0, len(FEATURES)))
    depth = boundary_distance(labels)
    radius = np.zeros(count + 1, np.float32)
    np.maximum.at(radius, labels[labels > 0], depth[labels > 0])
    relative = depth / np.maximum(radius[labels], 0.5)
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    diameter = np.sqrt(4 / np.pi * area)

    # Average over the pixels of particles only
    inside = labels > 0
    numbers, depths = labels[inside].astype(np.intp), relative[inside]  # as `bincount` takes them
    foreground = maps["foreground"][inside]
    mean = _means(numbers, foreground, count)
    spread = np.sqrt(np.maximum(_means(numbers, foreground**2, count) - mean**2, 0))
    cores = np.where(depths > _CORE, numbers, 0)
    none = np.zeros(count)
    interior = boundary = distance_error = distance_correlation = none
    if "interior" in maps:
        interior = _log_odds(_means(cores, maps["interior"][inside], count))
    if "boundary" in maps:
        boundary = _means(cores, maps["boundary"][inside], count)
    if "distance" in maps:
        distance = maps["distance"][inside]
        distance_error = _means(numbers, np.abs(distance - depths), count)
        distance_correlation = _correlations(numbers, distance, depths, count)
    at_frame = np.zeros(count + 1)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        at_frame[edge] = 1
    return np.column_stack(
        [
            _log_odds(mean),
            _log_odds(mean - spread),
            interior,
            boundary,
            mean - _ring_means(labels, maps["foreground"], count),
            distance_error,
            distance_correlation,
            np.log(np.maximum(diameter, 1)),
            2 * radius[1:] / diameter,
            _contact_shares(labels, depth, count),
            at_frame[1:],
        ]
    )


def real_particles(
    labels: Int32[np.ndarray, "h w"], truth: Int32[np.ndarray, "h w"]
) -> Bool[np.ndarray, "n"]:
    """Find the particles that share at least half of their union with a true one.

    Parameters
    ----------
    labels : (h, w) label map, particles numbered from 1 without gaps
    truth : (h, w) true label map

    Returns
    -------
    real : (n,) whether particles 1 to n are real

    Examples
    --------
    >>> import numpy as np
    >>> labels, truth = (np.array([row], np.int32) for row in ([1, 1, 2, 0], [1, 1, 0, 2]))
    >>> real_particles(labels, truth).tolist()
    [True, False]
    """
    table = overlap_table(labels, truth)
    both = (table.predicted > 0) & (table.truth > 0)
    predicted, pixels = table.predicted[both], table.pixels[both]
    union = table.predicted_area[predicted] + table.truth_area[table.truth[both]] - pixels
    real = np.zeros(int(labels.max(initial=0)) + 1, bool)
    real[predicted[pixels >= REAL_IOU * union]] = True
    return real[1:]


def fit_confidence(
    features: Float[np.ndarray, "n f"], real: Bool[np.ndarray, "n"], threshold: float
) -> Confidence:
    """Fit the logistic regression to particles with truth.

    Parameters
    ----------
    features : (n, f) features of `particle_features`
    real : (n,) whether each particle is real
    threshold : confidence below which particles are discarded by default

    Returns
    -------
    confidence : fitted regression
    """
    from sklearn.linear_model import LogisticRegression

    mean, sd = features.mean(axis=0), features.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    fitted = LogisticRegression(C=_REGULARIZATION, max_iter=1000).fit(
        _terms((features - mean) / sd), real
    )
    return Confidence(
        mean=tuple(mean),
        sd=tuple(sd),
        weights=tuple(fitted.coef_[0]),
        intercept=float(fitted.intercept_[0]),
        threshold=threshold,
    )


def _terms(x: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n t"]:
    """Extend normalized features, limited to 4 standard deviations, by their products."""
    x = np.clip(x, -4, 4)
    products = [x[:, i] * x[:, j] for i in range(x.shape[1]) for j in range(i, x.shape[1])]
    return np.column_stack([x, *products])


def _means(
    labels: Int[np.ndarray, "p"], values: Float[np.ndarray, "p"], count: int
) -> Float[np.ndarray, "n"]:
    """Average values over each particle; 0 for particles without a pixel."""
    pixels = np.bincount(labels, minlength=count + 1)[1:]
    return np.bincount(labels, values, count + 1)[1:] / np.maximum(pixels, 1)


def _correlations(
    labels: Int[np.ndarray, "p"],
    first: Float[np.ndarray, "p"],
    second: Float[np.ndarray, "p"],
    count: int,
) -> Float[np.ndarray, "n"]:
    """Correlate two values within each particle; 0 where one of them is constant."""
    mean1, mean2 = (_means(labels, values, count) for values in (first, second))
    covariance = _means(labels, first * second, count) - mean1 * mean2
    variance1 = _means(labels, first**2, count) - mean1**2
    variance2 = _means(labels, second**2, count) - mean2**2
    return covariance / np.sqrt(np.maximum(variance1, 1e-6) * np.maximum(variance2, 1e-6))


def _ring_means(
    labels: Int32[np.ndarray, "h w"], foreground: Float[np.ndarray, "h w"], count: int
) -> Float[np.ndarray, "n"]:
    """Average the foreground over the background next to each particle."""
    element = np.ones((2 * _RING_PX + 1, 2 * _RING_PX + 1), np.uint8)
    grown = cv2.dilate(labels.astype(np.float32), element)
    ring = (labels == 0) & (grown > 0)
    owners = grown[ring].astype(np.intp)
    around = _means(owners, foreground[ring], count)
    return np.where(np.bincount(owners, minlength=count + 1)[1:] > 0, around, _UNKNOWN_RING)


def _contact_shares(
    labels: Int32[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"], count: int
) -> Float[np.ndarray, "n"]:
    """Share of the outermost pixels of each particle that have another particle beside them."""
    element = np.ones((3, 3), np.uint8)
    values = labels.astype(np.float32)
    highest = cv2.dilate(values, element)
    lowest = cv2.erode(np.where(labels > 0, values, np.float32(1 << 24)), element)
    touching = ((highest > values) | (lowest < values)).astype(np.float32)
    outline = (labels > 0) & (depth <= 1)
    return _means(labels[outline].astype(np.intp), touching[outline], count)


def _log_odds(probability: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    clipped = np.clip(probability, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.log(clipped / (1 - clipped))
