"""Probability maps of micrographs of any size, in overlapping tiles without seams."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree, UInt8, UInt16

from unet.checkpoint import ModelCard, read_model
from unet.data import equalize, to_trained_scale
from unet.model import Weights, abstract_model, set_weights
from unet.presets import Architecture

TILE_PX = 512
EDGE_STEP_PX = 32  # few shapes, so that few programs are compiled for images of many sizes


@dataclass(frozen=True)
class Model:
    """A trained network.

    Attributes
    ----------
    card: what it is and where it comes from
    weights: parameters and running statistics
    """

    card: ModelCard
    weights: PyTree


def load_model(path: Path) -> Model:
    """Return the model of a run folder or in a model file; raises InputError as `read_model`."""
    return make_model(*read_model(path))


def make_model(card: ModelCard, weights: Weights) -> Model:
    """Return the model of these weights, put on the device."""
    network = abstract_model(card.training.architecture)
    return Model(card, nnx.state(set_weights(network, weights)))


def predict(
    model: Model,
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the probability of each target of the model, by its name, at the image's resolution.

    An image of a pixel size outside the range seen in training is resampled for the network, with a
    warning.
    """
    scaled = to_trained_scale(image, pixel_size_nm, model.card.pixel_sizes)
    maps = predict_equalized(model, equalize(scaled))
    if scaled.shape != image.shape:
        size = (image.shape[1], image.shape[0])
        maps = np.atleast_3d(cv2.resize(maps, size, interpolation=cv2.INTER_LINEAR))
    names = model.card.training.targets
    return {name: np.ascontiguousarray(maps[..., i]) for i, name in enumerate(names)}


def predict_averaged(
    model: Model,
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the maps of `predict`, averaged over the image and its flips along both axes."""
    total = dict.fromkeys(model.card.training.targets, np.float32(0))
    for flip in np.s_[::1, ::1], np.s_[::-1, ::1], np.s_[::1, ::-1], np.s_[::-1, ::-1]:
        maps = predict(model, np.ascontiguousarray(image[flip]), pixel_size_nm)
        total = {name: total[name] + maps[name][flip] / 4 for name in total}
    return {name: np.asarray(map_) for name, map_ in total.items()}


def predict_equalized(
    model: Model, image: UInt8[np.ndarray, "h w"], tile_px: int = TILE_PX
) -> Float[np.ndarray, "h w t"]:
    """Return the probabilities of an equalised image, tile by tile.

    Tiles overlap by twice as far as a logit reaches and lie on the grid of the coarsest pixels, so
    that the parts kept are those of the image taken whole. All tiles have one shape: one program is
    compiled.
    """
    architecture = model.card.training.architecture
    forward = _forward(architecture)
    rows, columns = (list(_tiles(size, architecture, tile_px)) for size in image.shape)
    height, width = rows[-1].tile.stop, columns[-1].tile.stop
    padding = ((0, height - image.shape[0]), (0, width - image.shape[1]))
    padded = np.pad(image, padding, mode="symmetric")
    maps = np.empty((height, width, architecture.outputs), np.float32)
    for row in rows:
        for column in columns:
            tile = jnp.asarray(padded[row.tile, column.tile][None, ..., None])
            probability = np.asarray(forward(model.weights, tile))[0]
            maps[row.kept, column.kept] = probability[row.kept_of_tile, column.kept_of_tile]
    return maps[: image.shape[0], : image.shape[1]]


class _Span(NamedTuple):
    """One tile along one axis: where it lies in the image, and the part of it that is kept."""

    tile: slice
    kept: slice
    kept_of_tile: slice


def _tiles(size: int, architecture: Architecture, tile_px: int) -> Iterator[_Span]:
    """Cover `size` pixels by tiles of one length, at most about `tile_px`, on the coarsest grid."""
    grid, overlap = architecture.coarsest_px, architecture.reach_px
    room = max(tile_px - 2 * overlap, grid)
    count = max(1, -(-(size - 2 * overlap) // room))
    edge = _rounded_up(-(-(size - 2 * overlap) // count) + 2 * overlap, max(grid, EDGE_STEP_PX))
    end = max(_rounded_up(size, grid), edge)
    for index in range(count):
        start = min(index * (edge - 2 * overlap), end - edge)
        first = start + overlap if index else 0
        last = start + edge - overlap if index < count - 1 else end
        yield _Span(
            slice(start, start + edge), slice(first, last), slice(first - start, last - start)
        )


def _rounded_up(value: int, step: int) -> int:
    return -(-value // step) * step


@lru_cache
def _forward(architecture: Architecture) -> Callable[[PyTree, Array], Array]:
    """Return the compiled network of an architecture: weights and (b, h, w, 1) uint8 to maps."""
    graph = nnx.graphdef(abstract_model(architecture))

    @jax.jit
    def forward(weights: PyTree, tiles: Array) -> Array:
        network = nnx.merge(graph, weights)
        network.eval()
        return jax.nn.sigmoid(network(tiles.astype(np.float32) / 255))

    return forward
