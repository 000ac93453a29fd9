"""Loss function of the training."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def cross_entropy(
    logits: Float[Array, "b h w t"],
    targets: Float[Array, "b h w t"],
    weights: Float[Array, "b h w"],
) -> Float[Array, "t"]:
    """Compute the weighted mean of the binary cross-entropy of each target.

    Parameters
    ----------
    logits : (b, h, w, t) outputs of the network
    targets : (b, h, w, t) targets from 0 to 1
    weights : (b, h, w) weight of each pixel

    Returns
    -------
    losses : (t,) loss of each target

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> zeros = jnp.zeros((1, 2, 2, 1))
    >>> cross_entropy(zeros, zeros, jnp.ones((1, 2, 2))).round(3).tolist()
    [0.6930000185966492]
    """
    losses = optax.sigmoid_binary_cross_entropy(logits, targets) * weights[..., None]
    return losses.sum((0, 1, 2)) / jnp.maximum(weights.sum(), 1e-6)


def border_weights(
    targets: Float[Array, "b h w t"], names: tuple[str, ...], weight: float
) -> Float[Array, "b h w"]:
    """Compute pixel weights that are larger where two particles touch.

    The thin gaps between particles determine their number (Ronneberger et al., 2015, eq. 2).

    Parameters
    ----------
    targets : (b, h, w, t) targets from 0 to 1
    names : names of the targets
    weight : additional weight where two particles touch

    Returns
    -------
    weights : (b, h, w) 1, and 1 + `weight` at contacts if "boundary" is among the targets
    """
    if "boundary" not in names:
        return jnp.ones(targets.shape[:-1])
    return 1 + weight * targets[..., names.index("boundary")]
