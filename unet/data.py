"""From a dataset folder to what the training step samples: equalised images and their targets."""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt16
from pydantic import PositiveFloat

from nanorender.errors import InputError
from nanorender.files.dataset import complete_samples
from nanorender.files.imagefile import LARGEST_IMAGE_BYTES
from nanorender.files.labeled import LabeledImage, dataset_images
from nanorender.measuring.distance import distance_to_background
from nanorender.settings import Settings
from unet.presets import TrainSettings

CLAHE_CLIP = 2.0
CLAHE_TILE_PX = 128
PERCENTILES = (0.1, 99.9)
_BAND_ROWS = 256
SLIVERS = 0.01
"""Share of the particles of which others leave so little to be seen that nothing is learnt."""


class PixelSizes(Settings):
    """The pixel sizes that a network was trained at, in nm."""

    lowest_nm: PositiveFloat
    median_nm: PositiveFloat
    highest_nm: PositiveFloat


class Samples(NamedTuple):
    """Images of a dataset with their targets, as the training step reads them.

    Attributes
    ----------
    pixels: (n, h, w, 1 + targets) uint8; channel 0 is the equalised image, the others are the
        targets, 255 for one; an image smaller than the largest is at the upper left
    sizes: (n, 2) height and width of each image in px
    pixel_sizes: seen in training, the zoom of the augmentation included
    least_trained_nm: equivalent diameter of the smallest particles seen, at the strongest zoom;
        None without any particle
    annotated: how many of the images, the last ones, are annotated micrographs
    """

    pixels: UInt8[np.ndarray, "n h w c"]
    sizes: Int[np.ndarray, "n 2"]
    pixel_sizes: PixelSizes
    least_trained_nm: float | None
    annotated: int = 0


def equalize(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w"]:
    """Return the image stretched between robust percentiles, then with CLAHE applied.

    The stretch makes brightness, contrast and bit depth of the detector irrelevant; contrast
    limited adaptive histogram equalisation (Zuiderveld, 1994) evens out slow shading. Its tiles
    keep their size in pixels, so that an image and a part of it are treated alike.
    """
    lowest, highest = np.percentile(image, PERCENTILES)
    scale = 255.0 / max(highest - lowest, 1.0)
    levels = np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float32)
    stretched = np.clip((levels - lowest) * scale, 0, 255).round().astype(np.uint8)
    gray = np.empty(image.shape, np.uint8)
    for top in range(0, image.shape[0], _BAND_ROWS):  # indices take eight times the image's memory
        band = slice(top, top + _BAND_ROWS)
        gray[band] = stretched[image[band]]
    height, width = image.shape
    tiles = (max(1, round(width / CLAHE_TILE_PX)), max(1, round(height / CLAHE_TILE_PX)))
    return np.asarray(cv2.createCLAHE(CLAHE_CLIP, tiles).apply(gray))


def preprocess(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w"]:
    """Return the image as the network sees it: equalised, 0 to 1; the same at every use."""
    return equalize(image).astype(np.float32) / 255


def boundary_distance(labels: Int[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return each particle pixel's distance to the boundary of its own particle, in px, else 0.

    The boundary runs between pixels, half a pixel from the centers of the outermost ones. A cut by
    the frame of the image is none.
    """
    return np.where(labels > 0, _distance_to(_beside_another(labels)) + 0.5, 0).astype(np.float32)


def shrink(labels: Int[np.ndarray, "h w"], border_px: float) -> Int[np.ndarray, "h w"]:
    """Return the label map with every particle short of `border_px` along its boundary.

    A small particle keeps at least what lies deeper than half of its inscribed radius, so that none
    is lost.
    """
    depth = boundary_distance(labels)
    return np.where(depth > np.minimum(border_px, _deepest(labels, depth) / 2), labels, 0)


def targets(labels: Int[np.ndarray, "h w"], settings: TrainSettings) -> UInt8[np.ndarray, "h w t"]:
    """Return the channels that the network is to give for a label map, 255 for one.

    - foreground: particle
    - interior: the particles shrunk by `border_px`
    - boundary: within `border_px` of another particle that touches
    - distance: to the particle's own boundary, 1 at its deepest point
    """
    labels = shrink(labels, settings.erosion_px) if settings.erosion_px else labels
    channels = []
    for name in settings.targets:
        match name:
            case "foreground":
                channel = labels > 0
            case "interior":
                channel = shrink(labels, settings.border_px) > 0
            case "boundary":
                near = _distance_to(_beside_another_particle(labels))
                channel = (labels > 0) & (near < settings.border_px)
            case "distance":
                depth = boundary_distance(labels)
                channel = depth / np.maximum(_deepest(labels, depth), 0.5)
        channels.append((255 * channel.astype(np.float32)).round().astype(np.uint8))
    return np.stack(channels, axis=-1)


def load_dataset(folder: Path, settings: TrainSettings) -> Samples:
    """Return the whole samples of a dataset folder, ready for training.

    Raises
    ------
    InputError
        If the folder is no dataset or holds no whole sample, or an image has no pixel size.
    """
    count = len(complete_samples(folder))
    if not count:
        raise InputError(f"{folder} holds no whole sample; make some with `nanorender generate`")
    return make_samples(dataset_images(folder), count, settings)


def make_samples(images: Iterable[LabeledImage], count: int, settings: TrainSettings) -> Samples:
    """Return `count` labelled images ready for training.

    Raises
    ------
    InputError
        If an image has no pixel size, or all of them are more than the machine can hold.
    """
    pixels = np.zeros((count, 1, 1, 1 + len(settings.targets)), np.uint8)
    sizes = np.zeros((count, 2), np.int32)
    pixel_sizes, diameters_nm = [], []
    for row, (image, labels, pixel_size_nm, path) in enumerate(images):
        if pixel_size_nm is None:
            raise InputError(f"{path} has no pixel size; write one into it")
        sizes[row] = image.shape
        pixels = _with_room(pixels, image.shape)
        here = pixels[row, : image.shape[0], : image.shape[1]]
        here[..., 0] = equalize(image)
        here[..., 1:] = targets(labels.astype(np.int32), settings)
        areas_px = np.bincount(labels.ravel())[1:]
        diameters_nm.append(np.sqrt(4 / np.pi * areas_px[areas_px > 0]) * pixel_size_nm)
        pixel_sizes.append(pixel_size_nm)
    lowest, median, highest = (float(q) for q in np.quantile(pixel_sizes, (0, 0.5, 1)))
    zoom = settings.augmentation.zoom
    seen = PixelSizes(lowest_nm=lowest / zoom, median_nm=median, highest_nm=highest * zoom)
    diameters = np.concatenate(diameters_nm)
    least = float(np.quantile(diameters, SLIVERS)) / zoom if len(diameters) else None
    return Samples(pixels, sizes, seen, least)


def to_trained_scale(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
    trained: PixelSizes,
) -> UInt8[np.ndarray, "a b"] | UInt16[np.ndarray, "a b"]:
    """Return the image resampled to the median pixel size of training where its own lies outside.

    Warns when it does. An image of unknown pixel size is returned as it is.

    Raises
    ------
    InputError
        If it would be larger than an image may be.
    """
    if pixel_size_nm is None or trained.lowest_nm <= pixel_size_nm <= trained.highest_nm:
        return image
    factor = pixel_size_nm / trained.median_nm
    height, width = image.shape
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size[0] * size[1] * image.itemsize > LARGEST_IMAGE_BYTES:
        raise InputError(
            f"{width} x {height} pixels of {pixel_size_nm:.4g} nm would become {size[0]:.3g} x "
            f"{size[1]:.3g} of {trained.median_nm:.4g} nm, as in training; train at their scale"
        )
    warnings.warn(
        f"pixel size {pixel_size_nm:.4g} nm lies outside {trained.lowest_nm:.4g} to "
        f"{trained.highest_nm:.4g} nm, seen in training; resampled to {trained.median_nm:.4g} nm",
        stacklevel=2,
    )
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how))


def _deepest(
    labels: Int[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return at each pixel the largest depth in the particle that it belongs to."""
    deepest = np.zeros(labels.max(initial=0) + 1, np.float32)
    np.maximum.at(deepest, labels, depth)
    return deepest[labels]


def _beside_another(labels: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Mark pixels with one of four neighbours of another label, background included."""
    return _beside(labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1])


def _beside_another_particle(labels: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Mark pixels with one of four neighbours in another particle."""
    inside = labels > 0
    rows = (labels[1:] != labels[:-1]) & inside[1:] & inside[:-1]
    return _beside(rows, (labels[:, 1:] != labels[:, :-1]) & inside[:, 1:] & inside[:, :-1])


def _beside(
    rows: Bool[np.ndarray, "_ w"], columns: Bool[np.ndarray, "h _"]
) -> Bool[np.ndarray, "h w"]:
    """Mark the pixels on both sides of marked edges between rows and between columns."""
    marked = np.zeros((columns.shape[0], rows.shape[1]), bool)
    marked[1:] |= rows
    marked[:-1] |= rows
    marked[:, 1:] |= columns
    marked[:, :-1] |= columns
    return marked


def _distance_to(marked: np.ndarray) -> Float[np.ndarray, "h w"]:
    """Return the distance of each pixel to the nearest marked one; very far where none is."""
    if not marked.any():
        return np.full(marked.shape, 1e4, np.float32)
    return distance_to_background(~marked).astype(np.float32)


def _with_room(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array, grown where an image of this shape does not fit.

    Raises
    ------
    InputError
        If it then is larger than the machine's memory.
    """
    count, height, width, channels = pixels.shape
    grow = [max(0, need - have) for need, have in zip(shape, (height, width), strict=True)]
    if not any(grow):
        return pixels
    height, width = height + grow[0], width + grow[1]
    need, there = count * height * width * channels, memory_bytes()
    if need > there:
        raise InputError(
            f"{count} images of up to {height} x {width} px need {need / 2**30:.3g} GiB, and this "
            f"machine has {there / 2**30:.3g} GiB of memory; train on fewer or on smaller ones"
        )
    return np.pad(pixels, ((0, 0), (0, grow[0]), (0, grow[1]), (0, 0)))


def memory_bytes() -> int:
    """Return how much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
