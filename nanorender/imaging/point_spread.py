"""The point spread of the beam: a Gaussian as repeated weighting of 3 x 3 pixels."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from nanorender.jit import kernel

STEP_PX2 = 1 / 3  # variance of a step; its fourth cumulant is then 0, as the Gaussian's


class PointSpread(NamedTuple):
    """Repeated weighting of 3 x 3 pixels.

    Attributes
    ----------
    weights : (3, 3) weights of one step
    steps : number of steps; 0 for no blur
    """

    weights: Float32[np.ndarray, "3 3"]
    steps: int


def covariance_px2(
    blur_px: float, astigmatism: float, angle_deg: float
) -> Float[np.ndarray, "2 2"]:
    """Return the covariance matrix of an astigmatic Gaussian.

    Parameters
    ----------
    blur_px
        Geometric mean of the standard deviations along both axes.
    astigmatism
        Ratio of long to short axis.
    angle_deg
        Direction of the long axis, from x towards y.

    Returns
    -------
    (2, 2) array
        Covariance in x, y, px^2; its determinant is ``blur_px ** 4``.

    Examples
    --------
    >>> covariance_px2(2.0, 1.0, 0.0).tolist()
    [[4.0, 0.0], [0.0, 4.0]]
    """
    angle = math.radians(angle_deg)
    axis = np.array((math.cos(angle), math.sin(angle)))
    long, short = blur_px**2 * astigmatism, blur_px**2 / astigmatism
    return short * np.eye(2) + (long - short) * np.outer(axis, axis)


def point_spread(covariance: Float[np.ndarray, "2 2"]) -> PointSpread:
    """Return the point spread of a covariance, exact in its second moments.

    The sum of independent steps has the sum of their covariances and tends to the Gaussian. Few
    steps are needed where the image is magnified afterwards, so this is faster than sampling it.

    Parameters
    ----------
    covariance
        In x, y, px^2.

    Returns
    -------
    PointSpread
        As many steps as their variance of a third of a pixel squared takes.

    Examples
    --------
    >>> point_spread(covariance_px2(1.0, 1.0, 0.0)).steps
    3
    """
    widest = covariance.diagonal().max()
    steps = max(1, round(widest / STEP_PX2)) if widest > 0 else 0
    (xx, xy), (_, yy) = covariance / max(steps, 1)
    weights = np.outer((yy / 2, 1 - yy, yy / 2), (xx / 2, 1 - xx, xx / 2))
    weights += xy / 4 * np.outer((1, 0, -1), (1, 0, -1))
    return PointSpread(weights.astype(np.float32), steps)


def blur(
    image: Float[np.ndarray, "h w"], covariance: Float[np.ndarray, "2 2"]
) -> Float[np.ndarray, "h w"]:
    """Convolve an image with a Gaussian; edge pixels are repeated beyond the frame.

    Parameters
    ----------
    image
        Radiance or gray levels.
    covariance
        Of the Gaussian in x, y, px^2.

    Returns
    -------
    (h, w) array
        The blurred image, or `image` itself if the covariance is 0.
    """
    spread = point_spread(covariance)
    for _ in range(spread.steps):
        image = _blurred(image, spread.weights)
    return image


@kernel
def _blurred(image, weights):
    """Return the image under nine weights; edge pixels are repeated beyond the frame."""
    height, width = image.shape
    blurred = np.empty((height, width), np.float32)
    for i in range(height):
        above, here, below = image[max(i - 1, 0)], image[i], image[min(i + 1, height - 1)]
        target = blurred[i]
        for j in range(1, width - 1):
            target[j] = (
                weights[0, 0] * above[j - 1]
                + weights[0, 1] * above[j]
                + weights[0, 2] * above[j + 1]
                + weights[1, 0] * here[j - 1]
                + weights[1, 1] * here[j]
                + weights[1, 2] * here[j + 1]
                + weights[2, 0] * below[j - 1]
                + weights[2, 1] * below[j]
                + weights[2, 2] * below[j + 1]
            )
        for j in (0, width - 1):
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            total = np.float32(0)
            for k, line in ((0, above), (1, here), (2, below)):
                total += weights[k, 0] * line[left] + weights[k, 1] * line[j]
                total += weights[k, 2] * line[right]
            target[j] = total
    return blurred
