"""A 3 x 3 convolution that is fast on a CPU even for few features.

On the CPU, XLA computes a convolution as the product of a matrix of patches and a matrix of
kernels with one column per feature: with 8 features it reaches 40 % of the speed with 32. The
features of neighboring pixels of a row are therefore computed at once, by a convolution with a
wider kernel and a stride. Most of the additional products are with zeros, but it is still faster.
Milliseconds of one core of an AMD EPYC (Zen 4) for 4 x 256 x 256 pixels, 1, 2 and 4 at once:

    8 to 8 features     15, 9, 7
    16 to 8             25, 17, 14
    16 to 16            24, 17, 25
    32 to 32 (128 px)   12, 17, 26

The gradient of the kernel is computed by one matrix product for each image. Milliseconds of one
core of an Intel Xeon (Sapphire Rapids) for 4 images, of XLA's own gradient and of this:

    16 to 16 features (256 px)   48, 36
    32 to 32 (128 px)            44, 26
    64 to 64 (64 px)             35, 18
    24 to 24 (112 px)            40, 10
    48 to 24 (112 px)            75, 15
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_LEAST_INPUTS = 4  # channels from which a matrix product gives the gradient of the kernel faster

Parts = tuple[Float[Array, "b h w _"], ...]
"""Channels of an image in several arrays."""


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

        Several inputs are treated as one with all their channels.
        """
        return convolve(parts, (self.kernel[...] * factor).astype(parts[0].dtype))


@jax.custom_vjp
def convolve(parts: Parts, kernel: Float[Array, "3 3 c d"]) -> Float[Array, "b h w d"]:
    """Convolve an image with zero padding.

    Parameters
    ----------
    parts : (b, h, w, _) arrays with c channels together; to concatenate them would cost a copy and,
        from 32 channels to 16, 20 % more time
    kernel : (3, 3, c, d) weights

    Returns
    -------
    features : (b, h, w, d) features

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> convolve((jnp.ones((1, 3, 3, 1)),), jnp.ones((3, 3, 1, 1)))[0, ..., 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    return reduce(jnp.add, map(_convolved, parts, _split(kernel, parts, axis=2)))


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


def _forward(parts: Parts, kernel: Array) -> tuple[Array, tuple[Parts, Array]]:
    return convolve(parts, kernel), (parts, kernel)


def _backward(kept: tuple[Parts, Array], gradient: Array) -> tuple[Parts, Array]:
    """Gradients with respect to the parts, by convolution with the rotated kernel, and to it."""
    parts, kernel = kept
    rotated = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    by_parts = tuple(_convolved(gradient, each) for each in _split(rotated, parts, axis=3))
    if jax.default_backend() == "cpu" and kernel.shape[2] >= _LEAST_INPUTS:
        return by_parts, _kernel_gradient(parts, gradient)

    def plain(kernel: Array) -> Array:
        return reduce(jnp.add, map(_strided, parts, _split(kernel, parts, axis=2)))

    _, to_kernel = jax.vjp(plain, kernel)
    return by_parts, *to_kernel(gradient)


convolve.defvjp(_forward, _backward)


def _split(kernel: Array, parts: Parts, axis: int) -> list[Array]:
    """Divide a kernel among the parts of its input."""
    ends = np.cumsum([part.shape[3] for part in parts])[:-1]
    return jnp.split(kernel, ends, axis)


def _kernel_gradient(parts: Parts, gradient: Float[Array, "b h w d"]) -> Float[Array, "3 3 c d"]:
    """Gradient with respect to the kernel: sums of inputs, shifted, times `gradient` over pixels.

    With the inputs shifted along the rows and `gradient` along the columns, the nine sums are
    blocks of one matrix product for each image. The images stay an axis, by which devices share
    the batch: a loop over it would compute all images on every device.
    """
    inputs, outputs = sum(part.shape[3] for part in parts), gradient.shape[3]
    pixels = jnp.concatenate([_shifted(part, axis=2) for part in parts], axis=4)
    pixels = pixels.reshape(len(pixels), -1, 3 * inputs)
    gradients = _shifted(gradient, axis=1).reshape(len(gradient), -1, 3 * outputs)
    total = jnp.einsum("bpd,bpc->bdc", gradients, pixels).sum(axis=0)
    # A gradient from the row above belongs to the last row of the kernel
    return total.reshape(3, outputs, 3, inputs)[::-1].transpose(0, 2, 3, 1)


def _shifted(image: Float[Array, "b h w c"], axis: int) -> Float[Array, "b h w 3 c"]:
    """Return the channels of the pixel before, of the pixel and of the one after; 0 outside."""
    length = image.shape[axis]
    edges = [(1, 1) if each == axis else (0, 0) for each in range(4)]
    padded = jnp.pad(image, edges)
    parts = [jax.lax.slice_in_dim(padded, k, k + length, axis=axis) for k in range(3)]
    return jnp.stack(parts, axis=3)


def _convolved(x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"]) -> Array:
    """Compute (b, h, w, d) features, those of several pixels at once."""
    at_once = pixels_at_once(x.shape[2], kernel.shape[3])
    return _strided(x, _widened(kernel, at_once)).reshape(*x.shape[:3], -1)


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
