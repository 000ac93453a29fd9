"""Probability maps of micrographs of any size, in overlapping tiles without seams."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
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
FLIPS = (np.s_[::1, ::1], np.s_[::-1, ::1], np.s_[::1, ::-1], np.s_[::-1, ::-1])


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


@dataclass(frozen=True)
class Prepared:
    """A micrograph as the network sees it.

    Attributes
    ----------
    equalized: (a, b) at the scale of the training
    shape: height and width of the micrograph
    """

    equalized: UInt8[np.ndarray, "a b"]
    shape: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the equalised image for one of the micrograph, along y and x."""
        height, width = self.equalized.shape
        return height / self.shape[0], width / self.shape[1]


def prepare(
    model: Model,
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> Prepared:
    """Return the image equalised once, resampled if its scale lies outside that of the training.

    Warns when it is resampled.
    """
    scaled = to_trained_scale(image, pixel_size_nm, model.card.pixel_sizes)
    return Prepared(equalize(scaled), (image.shape[0], image.shape[1]))


def predict(
    model: Model,
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the probability of each target of the model, by its name, at the image's resolution.

    An image of a pixel size outside the range seen in training is resampled for the network, with a
    warning.
    """
    prepared = prepare(model, image, pixel_size_nm)
    return predict_window(model, prepared, whole(image.shape), averaged=False)


def predict_averaged(
    model: Model,
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the maps of `predict`, averaged over the flips of the equalised image."""
    prepared = prepare(model, image, pixel_size_nm)
    return predict_window(model, prepared, whole(image.shape), averaged=True)


Window = tuple[slice, slice]  # rows and columns of a micrograph


def whole(shape: tuple[int, ...]) -> Window:
    """Return the window that is all of an image."""
    return slice(0, shape[0]), slice(0, shape[1])


def predict_window(
    model: Model, prepared: Prepared, window: Window, averaged: bool
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the probability of each target in a window of a micrograph, at its resolution.

    Within the reach of the network from the window's edge they are not those of the whole image.
    """
    reduced = [
        slice(floor(part.start * scale), min(ceil(part.stop * scale), length))
        for part, scale, length in zip(
            window, prepared.scale, prepared.equalized.shape, strict=True
        )
    ]
    equalized = prepared.equalized[reduced[0], reduced[1]]
    flips = FLIPS if averaged else FLIPS[:1]
    maps = np.zeros((*equalized.shape, model.card.training.architecture.outputs), np.float32)
    for flip in flips:
        maps += predict_equalized(model, np.ascontiguousarray(equalized[flip]))[flip]
    maps /= len(flips)
    if prepared.equalized.shape != prepared.shape:
        maps = _at_resolution(maps, prepared.scale, window, reduced)
    names = model.card.training.targets
    return {name: np.ascontiguousarray(maps[..., i]) for i, name in enumerate(names)}


def _at_resolution(
    maps: Float[np.ndarray, "a b t"],
    scale: tuple[float, float],
    window: Window,
    reduced: Sequence[slice],
) -> Float[np.ndarray, "h w t"]:
    """Return maps of a part of the equalised image, interpolated at the window's pixels."""
    (y, x), (rows, columns) = scale, window
    shift_y, shift_x = (
        (part.start + 0.5) * factor - 0.5 - inner.start
        for part, factor, inner in zip(window, scale, reduced, strict=True)
    )
    warped = cv2.warpAffine(
        maps,
        np.array([[x, 0, shift_x], [0, y, shift_y]]),
        (columns.stop - columns.start, rows.stop - rows.start),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped).reshape(*warped.shape[:2], -1)


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
