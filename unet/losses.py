"""Loss function of the training."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


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
