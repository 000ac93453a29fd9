"""U-Net of Ronneberger et al. (2015), padded and with batch normalisation (Mill et al., 2021)."""

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
    """Two 3 x 3 convolutions, each with batch normalisation and ReLU.

    No bias before a normalisation, which would take it out again.
    """

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.convolution1 = Convolution(inputs, outputs, rngs)
        self.norm1 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)
        self.convolution2 = Convolution(outputs, outputs, rngs)
        self.norm2 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)

    def __call__(self, *parts: Float[Array, "b h w _"]) -> Float[Array, "b h w d"]:
        """Return the features of one level, from one or several arrays of channels."""
        x = nnx.relu(_normalised(self.convolution1, self.norm1, *parts))
        return nnx.relu(_normalised(self.convolution2, self.norm2, x))


def _normalised(
    convolution: Convolution, norm: nnx.BatchNorm, *parts: Float[Array, "b h w _"]
) -> Float[Array, "b h w d"]:
    """Return normalised features; in prediction, what normalises is a part of the kernel.

    The statistics are fixed then, and a fiftieth of the time is saved.
    """
    if not norm.use_running_average:
        return norm(convolution(*parts))
    assert norm.scale is not None  # as `Convolutions` makes them
    assert norm.bias is not None
    factor = norm.scale[...] * jax.lax.rsqrt(norm.var[...] + norm.epsilon)
    return convolution(*parts, factor=factor) + (norm.bias[...] - norm.mean[...] * factor)


class UpSampling(nnx.Module):
    """The map of a 2 x 2 transposed convolution of stride 2, as one matrix product.

    On the CPU, XLA's gradient of a transposed convolution is many times slower.
    """

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        draw = nnx.initializers.he_normal()
        self.kernel = nnx.Param(draw(rngs.params(), (inputs, 4 * outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Return the features at twice the resolution; columns of the kernel are (y, x, d).

        Each of the two rows that a row becomes is a product of its own, since its pixels then lie
        in their places: a transposition takes twice as long as the products.
        """
        b, h, w, inputs = x.shape
        kernels = self.kernel[...].reshape(inputs, 2, -1)
        rows = [(x @ kernels[:, row]).reshape(b, h, 1, 2 * w, -1) for row in (0, 1)]
        return jnp.concatenate(rows, axis=2).reshape(b, 2 * h, 2 * w, -1) + self.bias[...]


def pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h//2 w//2 c"]:
    """Return the maximum of each 2 x 2 square.

    Four strided slices: on the CPU, XLA's gradient of `reduce_window` is many times slower.
    """
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def to_blocks(x: Float[Array, "b h w c"], block_px: int) -> Float[Array, "b _ _ _"]:
    """Return squares of pixels as single pixels, with (y, x, c) in their channels."""
    b, h, w, _ = x.shape
    x = x.reshape(b, h // block_px, block_px, w // block_px, block_px, -1)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // block_px, w // block_px, -1)


def from_blocks(x: Float[Array, "b h w c"], block_px: int) -> Float[Array, "b _ _ _"]:
    """Return pixels as the squares that their channels (y, x, c) hold: undoes `to_blocks`."""
    b, h, w, _ = x.shape
    x = x.reshape(b, h, w, block_px, block_px, -1)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * block_px, w * block_px, -1)


class UNet(nnx.Module):
    """An encoder and a decoder with skip connections; one logit per pixel and target.

    With blocks of 2 px, the finest level has half the image's resolution: it takes the four pixels
    of a block as channels and gives the logits of all four. On a CPU, convolutions of few channels
    at full resolution are half of a training step, and run at a quarter of the speed of the others.
    """

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs):
        channels, area = architecture.channels, architecture.block_px**2
        self.block_px = architecture.block_px
        self.encoder = nnx.List([Convolutions(a, b, rngs) for a, b in pairwise((area, *channels))])
        self.up = nnx.List([UpSampling(b, a, rngs) for a, b in pairwise(channels)])
        self.decoder = nnx.List([Convolutions(2 * a, a, rngs) for a in channels[:-1]])
        self.head = nnx.Linear(channels[0], area * architecture.outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w 1"]) -> Float[Array, "b h w t"]:
        """Return the logits; height and width must be multiples of the coarsest pixel."""
        *skips, x = self.encode(x)
        for up, convolutions, skip in reversed(
            list(zip(self.up, self.decoder, skips, strict=True))
        ):
            x = convolutions(skip, up(x))
        return from_blocks(self.head(x), self.block_px)

    def encode(self, x: Float[Array, "b h w 1"]) -> list[Float[Array, "b _ _ _"]]:
        """Return the features of every level, finest first."""
        x = to_blocks(x, self.block_px)
        levels = []
        for level, convolutions in enumerate(self.encoder):
            x = convolutions(pool(x) if level else x)
            levels.append(x)
        return levels


Weights = dict[str, Shaped[np.ndarray, "..."]]


def abstract_model(architecture: Architecture) -> UNet:
    """Return the network with shapes in the place of weights: nothing is computed."""
    return nnx.eval_shape(lambda: UNet(architecture, nnx.Rngs(0)))


def initial_weights(architecture: Architecture, rng: np.random.Generator) -> Weights:
    """Return weights after He et al. (2015), drawn with numpy: the same on every backend.

    Drawing them eagerly with JAX takes half a minute for the network of the paper.
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
    """Return the shape of every parameter and running statistic by its name."""
    return {_name(path): value.shape for path, value in nnx.to_flat_state(nnx.state(model))}


def set_weights(model: UNet, weights: Mapping[str, Shaped[np.ndarray, "..."]]) -> UNet:
    """Return the network with these weights; names and shapes must be those of `weight_shapes`."""
    graph, state = nnx.split(model)
    flat = nnx.to_flat_state(state)
    filled = [(path, value.replace(jnp.asarray(weights[_name(path)]))) for path, value in flat]
    return nnx.merge(graph, nnx.from_flat_state(filled))


def get_weights(state: PyTree) -> Weights:
    """Return parameters and statistics as arrays by name."""
    return {
        _name(path): np.asarray(jax.device_get(value[...]))
        for path, value in nnx.to_flat_state(state)
    }


def _name(path: tuple) -> str:
    return "/".join(str(part) for part in path)
