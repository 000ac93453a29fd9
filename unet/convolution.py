"""A 3 x 3 convolution that is fast on a CPU even for few features.

On the CPU, XLA computes a convolution as the product of a matrix of patches and a matrix of
kernels with one column per feature: with 8 features it reaches 40 % of the speed with 32. The
features of neighboring pixels of a row are therefore computed at once, by a convolution with a
wider kernel and a stride. Most of the additional products are with zeros, but it is still faster:

    milliseconds of one core of an AMD EPYC (Zen 4) for 4 x 256 x 256 pixels, 1, 2 and 4 at once
    8 to 8 features     value 15, 9, 7     gradient of the kernel 18, 34, 10
    16 to 8             value 25, 17, 14                          36, 63, 21
    16 to 16            value 24, 17, 25                          36, 31, 44
    32 to 32 (128 px)   value 12, 17, 26                          16, 19, 47
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


class Convolution(nnx.Module):
    """A 3 x 3 convolution without bias, with zero padding.

    Attributes
    ----------
    kernel : (3, 3, c, d) weights
    """

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        draw = nnx.initializers.he_normal()
        self.kernel = nnx.Param(draw(rngs.params(), (3, 3, inputs, outputs)))

    def __call__(
        self, *parts: Float[Array, "b h w _"], factor: Float[Array, "d"] | float = 1.0
    ) -> Float[Array, "b h w d"]:
        """Compute the features, each multiplied by its factor.

        Several inputs are treated as one with all their channels. Concatenating them would cost a
        copy and, from 32 channels to 16, 20 % more time.
        """
        ends = np.cumsum([part.shape[-1] for part in parts])[:-1]
        kernel = (self.kernel[...] * factor).astype(parts[0].dtype)
        kernels = jnp.split(kernel, ends, axis=2)
        return reduce(jnp.add, map(convolve, parts, kernels))


@jax.custom_vjp
def convolve(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"]
) -> Float[Array, "b h w d"]:
    """Convolve an image with zero padding.

    Parameters
    ----------
    x : (b, h, w, c) image
    kernel : (3, 3, c, d) weights

    Returns
    -------
    features : (b, h, w, d) features

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> convolve(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, ..., 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    at_once = pixels_at_once(x.shape[2], kernel.shape[3])
    return _strided(x, _widened(kernel, at_once)).reshape(*x.shape[:3], -1)


def pixels_at_once(width: int, outputs: int) -> int:
    """Return the fastest number of pixels to compute at once, as measured.

    Parameters
    ----------
    width : length of a row in px
    outputs : number of features

    Returns
    -------
    at_once : number of pixels
    """
    wanted = 4 if outputs <= 8 else 2 if outputs <= 16 else 1
    return wanted if jax.default_backend() == "cpu" and width % wanted == 0 else 1


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Gradients with respect to `x`, by convolution with the rotated kernel, and to the kernel."""
    x, kernel = kept
    by_x = convolve(gradient, jnp.flip(kernel, (0, 1)).swapaxes(2, 3))
    at_once = pixels_at_once(x.shape[2], kernel.shape[3])
    wide, to_kernel = jax.vjp(lambda kernel: _widened(kernel, at_once), kernel)
    _, to_wide = jax.vjp(lambda wide: _strided(x, wide), wide)
    (by_kernel,) = to_kernel(*to_wide(gradient.reshape(*x.shape[:2], x.shape[2] // at_once, -1)))
    return by_x, by_kernel


convolve.defvjp(_forward, _backward)


def _widened(kernel: Float[Array, "3 3 c d"], at_once: int) -> Float[Array, "3 e c f"]:
    """Combine the kernels of neighboring pixels in one, with outputs in the order (pixel, d)."""
    room = at_once - 1
    shifted = [
        jnp.pad(kernel, ((0, 0), (pixel, room - pixel), (0, 0), (0, 0))) for pixel in range(at_once)
    ]
    return jnp.concatenate(shifted, axis=-1)


def _strided(x: Float[Array, "b h w c"], wide: Float[Array, "3 e c f"]) -> Float[Array, "b h v f"]:
    """Compute the features of each group of pixels by a widened kernel."""
    strides = (1, wide.shape[1] - 2)
    edges = ((1, 1), (1, 1))
    return jax.lax.conv_general_dilated(x, wide, strides, edges, dimension_numbers=_DIMENSIONS)
