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
    """Return the maps of `predict`, averaged over flips and zooms of the equalised image.

    The zooms are 1 and the largest that patches were changed by in training. Reduced, small
    particles vanish: on twelve synthetic images of TiO2, found / true was 0.934 and the median
    diameter 8 % too large with the smallest zoom among them, 0.976 and 2 % without; object F1 was
    0.957 and 0.958, and on five real ones 0.874 and 0.878.
    """
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
    largest = model.card.training.augmentation.zoom
    zooms = (1.0, largest) if averaged and largest > 1 else (1.0,)
    flips = FLIPS if averaged else FLIPS[:1]
    maps = sum(_predict_zoomed(model, prepared, window, zoom, flips) for zoom in zooms)
    mean = np.asarray(maps) / len(zooms)
    names = model.card.training.targets
    return {name: np.ascontiguousarray(mean[..., i]) for i, name in enumerate(names)}


def _predict_zoomed(
    model: Model, prepared: Prepared, window: Window, zoom: float, flips: Sequence[Window]
) -> Float[np.ndarray, "h w t"]:
    """Return the probabilities in a window, seen zoomed, as the mean over flips.

    Zoomed pixels lie where those of the whole image would, and begin and end on the coarsest grid,
    upright and flipped, so that windows agree.
    """
    grid = model.card.training.architecture.coarsest_px
    scale = (zoom * prepared.scale[0], zoom * prepared.scale[1])
    rows, columns = (
        slice(
            floor(part.start * factor / grid) * grid,
            min(_rounded_up(ceil(part.stop * factor), grid), max(1, round(zoom * length))),
        )
        for part, factor, length in zip(window, scale, prepared.equalized.shape, strict=True)
    )
    pixels = _zoomed(prepared.equalized, zoom, (rows, columns))
    height, width = pixels.shape
    padded = np.pad(pixels, ((0, -height % grid), (0, -width % grid)), mode="symmetric")
    maps = np.zeros((*padded.shape, model.card.training.architecture.outputs), np.float32)
    for flip in flips:
        maps += predict_equalized(model, np.ascontiguousarray(padded[flip]))[flip]
    maps = maps[:height, :width] / len(flips)
    if scale == (1.0, 1.0) and window == (rows, columns):
        return maps
    return _at_resolution(maps, scale, window, (rows, columns))


def _zoomed(
    image: UInt8[np.ndarray, "a b"], zoom: float, window: Window
) -> UInt8[np.ndarray, "h w"]:
    """Return a window of an image as it is when the whole of it is zoomed."""
    if zoom == 1:
        return image[window]
    rows, columns = window
    how = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_LINEAR
    reached = [
        slice(max(0, floor(part.start / zoom) - 2), ceil(part.stop / zoom) + 2) for part in window
    ]
    shift_y, shift_x = (
        (part.start + 0.5) / zoom - 0.5 - source.start
        for part, source in zip(window, reached, strict=True)
    )
    warped = cv2.warpAffine(
        image[reached[0], reached[1]],
        np.array([[1 / zoom, 0, shift_x], [0, 1 / zoom, shift_y]]),
        (columns.stop - columns.start, rows.stop - rows.start),
        flags=how | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped)


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
