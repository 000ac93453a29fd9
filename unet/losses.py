"""The loss of the training and the pixel metrics, as sums and counts over batches."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


class PixelCounts(NamedTuple):
    """Pixels of a comparison with the truth; counts of several batches add up."""

    true_positive: Float[Array, ""]
    false_positive: Float[Array, ""]
    false_negative: Float[Array, ""]
    true_negative: Float[Array, ""]


def cross_entropy(
    logits: Float[Array, "b h w t"],
    targets: Float[Array, "b h w t"],
    weights: Float[Array, "b h w"],
) -> Float[Array, "t"]:
    """Return the mean binary cross-entropy of each target, weighted by pixel; weight 0 masks."""
    losses = optax.sigmoid_binary_cross_entropy(logits, targets) * weights[..., None]
    return losses.sum((0, 1, 2)) / jnp.maximum(weights.sum(), 1e-6)


def border_weights(
    targets: Float[Array, "b h w t"], names: tuple[str, ...], weight: float
) -> Float[Array, "b h w"]:
    """Return 1, and 1 + `weight` where two particles touch, if that is one of the targets.

    The thin gaps between particles decide their number, as in Ronneberger et al. (2015), eq. 2.
    """
    if "boundary" not in names:
        return jnp.ones(targets.shape[:-1])
    return 1 + weight * targets[..., names.index("boundary")]


def count_pixels(
    probability: Float[Array, "..."], truth: Float[Array, "..."], threshold: float
) -> PixelCounts:
    """Return how many pixels are rightly and wrongly called particle and background."""
    called, true = probability >= threshold, truth >= 0.5
    pairs = ((called, true), (called, ~true), (~called, true), (~called, ~true))
    return PixelCounts(*(jnp.sum(a & b, dtype=jnp.float32) for a, b in pairs))


def pixel_f1(counts: PixelCounts) -> Float[Array, ""]:
    """Return the harmonic mean of precision and recall; 1 where neither is any particle."""
    wrong = counts.false_positive + counts.false_negative
    return jnp.where(
        counts.true_positive + wrong > 0,
        2 * counts.true_positive / jnp.maximum(2 * counts.true_positive + wrong, 1),
        1.0,
    )
