"""U-Net of Ronneberger et al. (2015), padded and with batch normalization (Mill et al., 2021)."""

from collections.abc import Mapping
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree, Shaped

from unet.convolution import Convolution
from unet.presets import Architecture


class Convolutions(nnx.Module):
    """Two 3 x 3 convolutions, each followed by batch normalization and ReLU.

    The convolutions have no bias, since the normalization would remove it.

    Attributes
    ----------
    convolution1, convolution2 : convolutions
    norm1, norm2 : batch normalizations
    """

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.convolution1 = Convolution(inputs, outputs, rngs)
        self.norm1 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)
        self.convolution2 = Convolution(outputs, outputs, rngs)
        self.norm2 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)

    def __call__(self, *parts: Float[Array, "b h w _"]) -> Float[Array, "b h w d"]:
        """Compute the features of one level from one or several arrays of channels."""
        x = nnx.relu(_normalized(self.convolution1, self.norm1, *parts))
        return nnx.relu(_normalized(self.convolution2, self.norm2, x))


def _normalized(
    convolution: Convolution, norm: nnx.BatchNorm, *parts: Float[Array, "b h w _"]
) -> Float[Array, "b h w d"]:
    """Convolve and normalize; in prediction, the normalization is folded into the kernel.

    The statistics are constant then, and folding saves 2 % of the time.
    """
    if not norm.use_running_average:
        features = convolution(*parts)
        return norm(features).astype(features.dtype)
    assert norm.scale is not None  # as `Convolutions` creates it
    assert norm.bias is not None
    factor = norm.scale[...] * jax.lax.rsqrt(norm.var[...] + norm.epsilon)
    return convolution(*parts, factor=factor) + (norm.bias[...] - norm.mean[...] * factor)


class UpSampling(nnx.Module):
    """Transposed 2 x 2 convolution of stride 2, computed as a matrix product.

    On the CPU, XLA's gradient of a transposed convolution is many times slower.

    Attributes
    ----------
    kernel : (c, 4 * d) weights, columns in the order (y, x, d)
    bias : (d,) biases
    """

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        draw = nnx.initializers.he_normal()
        self.kernel = nnx.Param(draw(rngs.params(), (inputs, 4 * outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Compute the features at twice the resolution.

        The two rows that replace a row are separate products, whose pixels are then in order; a
        transposition would take twice as long as the products.
        """
        b, h, w, inputs = x.shape
        kernels = self.kernel[...].astype(x.dtype).reshape(inputs, 2, -1)
        bias = self.bias[...].astype(x.dtype)
        rows = [(x @ kernels[:, row]).reshape(b, h, 1, 2 * w, -1) for row in (0, 1)]
        return jnp.concatenate(rows, axis=2).reshape(b, 2 * h, 2 * w, -1) + bias


def pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h//2 w//2 c"]:
    """Compute the maximum of each 2 x 2 square.

    Strided slices are used, since XLA's gradient of `reduce_window` is many times slower on the
    CPU.

    Parameters
    ----------
    x : (b, h, w, c) features, h and w even

    Returns
    -------
    pooled : (b, h / 2, w / 2, c) features
    """
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def to_blocks(x: Float[Array, "b h w c"], block_px: int) -> Float[Array, "b _ _ _"]:
    """Rearrange blocks of pixels into single pixels.

    Parameters
    ----------
    x : (b, h, w, c) pixels
    block_px : edge of a block

    Returns
    -------
    blocks : (b, h / block_px, w / block_px, block_px**2 * c) pixels, channels ordered (y, x, c)

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> to_blocks(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).tolist()
    [[[[0.0, 1.0, 2.0, 3.0]]]]
    """
    b, h, w, _ = x.shape
    x = x.reshape(b, h // block_px, block_px, w // block_px, block_px, -1)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // block_px, w // block_px, -1)


def from_blocks(x: Float[Array, "b h w c"], block_px: int) -> Float[Array, "b _ _ _"]:
    """Rearrange pixels into blocks of pixels, the inverse of `to_blocks`.

    Parameters
    ----------
    x : (b, h, w, block_px**2 * c) pixels, channels in the order (y, x, c)
    block_px : edge of a block

    Returns
    -------
    pixels : (b, h * block_px, w * block_px, c) pixels
    """
    b, h, w, _ = x.shape
    x = x.reshape(b, h, w, block_px, block_px, -1)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * block_px, w * block_px, -1)


class UNet(nnx.Module):
    """Encoder and decoder with skip connections; one logit per pixel and target.

    With blocks of 2 px, the finest level has half the resolution of the image: it takes the four
    pixels of a block as channels and computes the logits of all four. On a CPU, convolutions of few
    channels at full resolution take half of a training step, at a quarter of the speed of others.

    Attributes
    ----------
    block_px : edge of the pixel blocks
    encoder : convolutions of each level, finest first
    up : up-sampling to each level but the coarsest, finest first
    decoder : convolutions of each level but the coarsest, finest first
    head : logits of the finest level

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> network = UNet(Architecture(channels=(2, 3), outputs=1, block_px=1), nnx.Rngs(0))
    >>> network(jnp.zeros((1, 8, 8, 1))).shape
    (1, 8, 8, 1)
    """

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs):
        channels, area = architecture.channels, architecture.block_px**2
        self.block_px = architecture.block_px
        self.encoder = nnx.List([Convolutions(a, b, rngs) for a, b in pairwise((area, *channels))])
        self.up = nnx.List([UpSampling(b, a, rngs) for a, b in pairwise(channels)])
        self.decoder = nnx.List([Convolutions(2 * a, a, rngs) for a in channels[:-1]])
        self.head = nnx.Linear(channels[0], area * architecture.outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w 1"]) -> Float[Array, "b h w t"]:
        """Compute the logits; height and width must be multiples of the coarsest pixel.

        The features have the type of the image, whatever that of the weights. Sums, statistics of
        batch normalization and logits have that of the weights.
        """
        *skips, x = self.encode(x)
        for up, convolutions, skip in reversed(
            list(zip(self.up, self.decoder, skips, strict=True))
        ):
            x = convolutions(skip, up(x))
        return from_blocks(self.head(x.astype(self.head.kernel.dtype)), self.block_px)

    def encode(self, x: Float[Array, "b h w 1"]) -> list[Float[Array, "b _ _ _"]]:
        """Compute the features of every level.

        Parameters
        ----------
        x : (b, h, w, 1) gray values from 0 to 1

        Returns
        -------
        levels : features of each level, finest first
        """
        x = to_blocks(x, self.block_px)
        levels = []
        for level, convolutions in enumerate(self.encoder):
            x = convolutions(pool(x) if level else x)
            levels.append(x)
        return levels


Weights = dict[str, Shaped[np.ndarray, "..."]]
"""Parameters and running statistics by name."""


def abstract_model(architecture: Architecture) -> UNet:
    """Create a network with shapes instead of weights, without any computation.

    Parameters
    ----------
    architecture : shapes of the weights

    Returns
    -------
    model : network
    """
    return nnx.eval_shape(lambda: UNet(architecture, nnx.Rngs(0)))


def initial_weights(architecture: Architecture, rng: np.random.Generator) -> Weights:
    """Draw initial weights (He et al., 2015).

    NumPy gives the same weights on every backend; drawing them eagerly with JAX takes half a minute
    for the network of the paper.

    Parameters
    ----------
    architecture : shapes of the weights
    rng : random number generator

    Returns
    -------
    weights : arrays by name
    """
    weights = {}
    for name, shape in weight_shapes(abstract_model(architecture)).items():
        match name.rsplit("/")[-1]:
            case "kernel":
                spread = np.sqrt(2.0 / np.prod(shape[:-1]))
                weights[name] = spread * rng.standard_normal(shape, dtype=np.float32)
            case "scale" | "var":
                weights[name] = np.ones(shape, np.float32)
            case _:
                weights[name] = np.zeros(shape, np.float32)
    return {name: np.asarray(value, np.float32) for name, value in weights.items()}


def weight_shapes(model: UNet) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter and running statistic.

    Parameters
    ----------
    model : network

    Returns
    -------
    shapes : shapes by name
    """
    return {_name(path): value.shape for path, value in nnx.to_flat_state(nnx.state(model))}


def set_weights(model: UNet, weights: Mapping[str, Shaped[np.ndarray, "..."]]) -> UNet:
    """Fill a network with weights.

    Parameters
    ----------
    model : network
    weights : arrays with the names and shapes of `weight_shapes`

    Returns
    -------
    model : network with these weights
    """
    graph, state = nnx.split(model)
    flat = nnx.to_flat_state(state)
    filled = [(path, value.replace(jnp.asarray(weights[_name(path)]))) for path, value in flat]
    return nnx.merge(graph, nnx.from_flat_state(filled))


def get_weights(state: PyTree) -> Weights:
    """Extract parameters and statistics.

    Parameters
    ----------
    state : state of a network

    Returns
    -------
    weights : arrays by name
    """
    return {
        _name(path): np.asarray(jax.device_get(value[...]))
        for path, value in nnx.to_flat_state(state)
    }


def _name(path: tuple) -> str:
    return "/".join(str(part) for part in path)
