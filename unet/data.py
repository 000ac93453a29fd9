"""Training samples: equalized images of a dataset with their targets."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import psutil
from jaxtyping import Float, Int, UInt8, UInt16
from pydantic import PositiveFloat

from nanorender.errors import InputError
from nanorender.files.dataset import complete_samples, has_drawn_recipes, relative_loss_of_recipe
from nanorender.files.imagefile import LARGEST_IMAGE_BYTES
from nanorender.files.labeled import LabeledImage, dataset_images
from nanorender.settings import Settings
from unet.presets import TrainSettings
from unet.targets import targets

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

CLAHE_CLIP = 2.0
CLAHE_TILE_PX = 128
PERCENTILES = (0.1, 99.9)
_BAND_ROWS = 256
SEARCH_ZOOMS = (1.0, 0.5, 0.25)
"""Magnifications at which a model without a scale searches for particles. A network of limited
reach takes a large textured particle for many small ones, but not in an image a quarter its size.
"""

_SEARCHED_PX = 10.0  # smallest typical diameter for which an image is reduced
_VISIBLE_PX = 12  # smaller particles of a reduced image are not learned
_SMALLEST_QUANTILE = 0.01
"""Quantile of the diameters below which particles are mostly hidden and therefore not learned."""


class PixelSizes(Settings):
    """Pixel sizes seen in training."""

    lowest_nm: PositiveFloat
    """Smallest pixel size, in nm."""
    median_nm: PositiveFloat
    """Median pixel size, in nm."""
    highest_nm: PositiveFloat
    """Largest pixel size, in nm."""


class TrainedDiameters(Settings):
    """Equivalent diameters of the particles seen in training, with the zoom of the augmentation.

    They are in nm, or in px for a network that learns particles of any size.
    """

    lowest: PositiveFloat
    """Diameter of the smallest particles that are not mostly hidden, at the strongest reduction."""
    highest: PositiveFloat
    """Diameter of the largest particle, at the strongest magnification."""


class Samples(NamedTuple):
    """Images of a dataset with their targets, as read by the training step.

    Attributes
    ----------
    pixels : (n, h, w, 1 + targets) equalized image and targets scaled to 0 to 255; images smaller
        than the largest are at the upper left
    sizes : (n, 2) height and width of each image in px
    pixel_sizes : pixel sizes seen in training, including the zoom of the augmentation; None if
        the images have no scale in common, so that a network learns particles of any size
    diameters : diameters of the particles; None if there are none
    annotated : number of annotated micrographs, which come last
    relative_loss : how well the recipe was fitted to micrographs, see `Recipe.relative_loss`; None
        if it was not
    """

    pixels: UInt8[np.ndarray, "n h w c"]
    sizes: Int[np.ndarray, "n 2"]
    pixel_sizes: PixelSizes | None
    diameters: TrainedDiameters | None
    annotated: int = 0
    relative_loss: float | None = None


def equalize(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w"]:
    """Stretch an image between robust percentiles and apply CLAHE.

    The stretch removes brightness, contrast and bit depth of the detector; contrast limited
    adaptive histogram equalization (Zuiderveld, 1994) removes slow shading. The tiles have a fixed
    size in pixels, so that an image and a part of it are treated alike.

    Parameters
    ----------
    image : (h, w) gray values of 8 or 16 bits

    Returns
    -------
    equalized : (h, w) gray values of 8 bits

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    >>> np.array_equal(equalize(ramp), equalize(ramp * 200))
    True
    """
    # Stretch through a lookup table, by bands of rows: its indices take eight times the memory.
    lowest, highest = np.percentile(image, PERCENTILES)
    scale = 255.0 / max(highest - lowest, 1.0)
    levels = np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float32)
    stretched = np.clip((levels - lowest) * scale, 0, 255).round().astype(np.uint8)
    gray = np.empty(image.shape, np.uint8)
    for top in range(0, image.shape[0], _BAND_ROWS):
        band = slice(top, top + _BAND_ROWS)
        gray[band] = stretched[image[band]]

    height, width = image.shape
    tiles = (max(1, round(width / CLAHE_TILE_PX)), max(1, round(height / CLAHE_TILE_PX)))
    return np.asarray(cv2.createCLAHE(CLAHE_CLIP, tiles).apply(gray))


def load_dataset(folder: Path, settings: TrainSettings) -> Samples:
    """Load the complete samples of a dataset for training.

    Parameters
    ----------
    folder : dataset written by ``nanorender generate``
    settings : training settings

    Returns
    -------
    samples : equalized images and targets

    Raises
    ------
    InputError
        If the folder is not a dataset or has no complete sample, or an image has no pixel size.
    """
    count = len(complete_samples(folder))
    if not count:
        raise InputError(f"{folder} has no complete sample; make some with `nanorender generate`")
    if not has_drawn_recipes(folder):
        samples = make_samples(dataset_images(folder), count, settings)
        return samples._replace(relative_loss=relative_loss_of_recipe(folder))
    return samples_of_any_size(dataset_images(folder), count, settings)


def samples_of_any_size(
    images: Iterable[LabeledImage], count: int, settings: TrainSettings
) -> Samples:
    """Compute training samples of images that have no scale in common.

    Parameters
    ----------
    images : images with their label maps, read one at a time
    count : number of images
    settings : training settings

    Returns
    -------
    samples : equalized images, at the magnifications of the search in turn, and targets

    Raises
    ------
    InputError
        If the images together exceed the memory of the machine.
    """
    reduced = (_at_search_zoom(image, k) for k, image in enumerate(images))
    return make_samples(reduced, count, settings, scaled=False)


def reduce_image(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"], zoom: float
) -> UInt8[np.ndarray, "a b"] | UInt16[np.ndarray, "a b"]:
    """Reduce an image by averaging pixels.

    Parameters
    ----------
    image : (h, w) gray values
    zoom : magnification, at most 1

    Returns
    -------
    reduced : gray values

    Examples
    --------
    >>> import numpy as np
    >>> reduce_image(np.array([[1, 3], [5, 7]], np.uint8), 0.5).tolist()
    [[4]]
    """
    if zoom == 1:
        return image
    size = _zoomed_size(image, zoom)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _zoomed_size(image: np.ndarray, zoom: float) -> tuple[int, int]:
    """Width and height of a zoomed image."""
    height, width = image.shape
    return max(1, round(zoom * width)), max(1, round(zoom * height))


def _at_search_zoom(sample: LabeledImage, index: int) -> LabeledImage:
    """Reduce a sample to a magnification at which its particles are searched, in turn.

    Networks learn from what they will see: at each magnification of the search, particles that are
    not too small there.
    """
    areas_px = np.bincount(sample.labels.ravel())[1:]
    areas_px = areas_px[areas_px > 0]
    diameter_px = np.sqrt(4 / np.pi * np.median(areas_px)) if len(areas_px) else np.inf
    zooms = [zoom for zoom in SEARCH_ZOOMS if zoom == 1 or zoom * diameter_px >= _SEARCHED_PX]
    zoom = zooms[index % len(zooms)]
    if zoom == 1:
        return sample
    size = _zoomed_size(sample.image, zoom)
    whole = sample.labels.astype(np.int32)
    labels = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST_EXACT), np.int32)
    visible = np.bincount(labels.ravel()) >= _VISIBLE_PX
    return sample._replace(
        image=reduce_image(sample.image, zoom), labels=np.where(visible[labels], labels, 0)
    )


def make_samples(
    images: Iterable[LabeledImage], count: int, settings: TrainSettings, scaled: bool = True
) -> Samples:
    """Compute the training samples of labeled images.

    Parameters
    ----------
    images : images with their label maps, read one at a time
    count : number of images
    settings : training settings
    scaled : whether the images have a scale in common

    Returns
    -------
    samples : equalized images and targets

    Raises
    ------
    InputError
        If an image has no pixel size, or the images together exceed the memory of the machine.
    """
    pixels = np.zeros((count, 1, 1, 1 + len(settings.targets)), np.uint8)
    sizes = np.zeros((count, 2), np.int32)
    pixel_sizes_nm, diameters = [], []
    prepare = partial(_sample, settings=settings, scaled=scaled)
    for row, sample in enumerate(_in_threads(prepare, images)):
        height, width = sizes[row] = sample.pixels.shape[:2]
        pixels = _enlarged(pixels, height, width)
        pixels[row, :height, :width] = sample.pixels
        diameters.append(sample.diameters_px * sample.pixel_size_nm)
        pixel_sizes_nm.append(sample.pixel_size_nm)
    zoom = settings.augmentation.zoom
    return Samples(
        pixels,
        sizes,
        _trained_pixel_sizes(pixel_sizes_nm, zoom) if scaled else None,
        _trained_diameters(np.concatenate(diameters), zoom),
    )


class _Sample(NamedTuple):
    """One image: (h, w, 1 + targets) pixels as in `Samples`, equivalent diameters, pixel size.

    The pixel size of images without a common scale is 1.
    """

    pixels: UInt8[np.ndarray, "h w c"]
    diameters_px: Float[np.ndarray, "n"]
    pixel_size_nm: float


def _sample(image: LabeledImage, settings: TrainSettings, scaled: bool) -> _Sample:
    """Equalize an image and compute its targets; InputError without a pixel size if scaled."""
    if scaled and image.pixel_size_nm is None:
        raise InputError(f"{image.path} has no pixel size; store one in the file")
    pixels = np.empty((*image.image.shape, 1 + len(settings.targets)), np.uint8)
    pixels[..., 0] = equalize(image.image)
    pixels[..., 1:] = targets(image.labels.astype(np.int32), settings)
    areas_px = np.bincount(image.labels.ravel())[1:]
    diameters_px = np.sqrt(4 / np.pi * areas_px[areas_px > 0])
    edge_nm = image.pixel_size_nm if scaled and image.pixel_size_nm is not None else 1.0
    return _Sample(pixels, diameters_px, edge_nm)


def _in_threads(work: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
    """Apply a function to all tasks in order, one thread a core, reading only a few tasks ahead."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_Result]] = deque()
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def to_trained_scale(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None,
    trained: PixelSizes | None,
) -> UInt8[np.ndarray, "a b"] | UInt16[np.ndarray, "a b"]:
    """Resample an image to the median pixel size of the training if its own was not trained.

    Warns when it does. An image of unknown pixel size is returned unchanged, and so is any image
    for a network that learned particles of any size.

    Parameters
    ----------
    image : (h, w) gray values
    pixel_size_nm : pixel size of the image in nm, None if unknown
    trained : pixel sizes seen in training, None for particles of any size

    Returns
    -------
    image : the image, or the resampled image

    Raises
    ------
    InputError
        If the resampled image would exceed the largest supported size.

    Examples
    --------
    >>> import numpy as np
    >>> trained = PixelSizes(lowest_nm=5, median_nm=6, highest_nm=7)
    >>> to_trained_scale(np.zeros((30, 40), np.uint8), 6.5, trained).shape
    (30, 40)
    """
    if pixel_size_nm is None or trained is None:
        return image
    if trained.lowest_nm <= pixel_size_nm <= trained.highest_nm:
        return image
    factor = pixel_size_nm / trained.median_nm
    height, width = image.shape
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size[0] * size[1] * image.itemsize > LARGEST_IMAGE_BYTES:
        raise InputError(
            f"{width} x {height} pixels of {pixel_size_nm:.4g} nm would become {size[0]:.3g} x "
            f"{size[1]:.3g} pixels of {trained.median_nm:.4g} nm, the scale of the training; "
            "train a model at the scale of the image"
        )
    warnings.warn(
        f"pixel size {pixel_size_nm:.4g} nm is outside {trained.lowest_nm:.4g} to "
        f"{trained.highest_nm:.4g} nm, seen in training; resampled to {trained.median_nm:.4g} nm",
        stacklevel=2,
    )
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=interpolation))


def _trained_pixel_sizes(pixel_sizes_nm: list[float], zoom: float) -> PixelSizes:
    """Range of the pixel sizes, extended by the zoom of the augmentation."""
    lowest, median, highest = (float(q) for q in np.quantile(pixel_sizes_nm, (0, 0.5, 1)))
    return PixelSizes(lowest_nm=lowest / zoom, median_nm=median, highest_nm=highest * zoom)


def _trained_diameters(diameters: Float[np.ndarray, "n"], zoom: float) -> TrainedDiameters | None:
    """Range of the diameters, extended by the zoom of the augmentation."""
    if not len(diameters):
        return None
    lowest, highest = np.quantile(diameters, (_SMALLEST_QUANTILE, 1.0)).tolist()
    return TrainedDiameters(lowest=lowest / zoom, highest=highest * zoom)


def _enlarged(pixels: UInt8[np.ndarray, "n a b c"], height: int, width: int) -> np.ndarray:
    """Pad the stack so that an image of this size fits; InputError if memory does not suffice."""
    count, old_height, old_width, channels = pixels.shape
    if height <= old_height and width <= old_width:
        return pixels
    height, width = max(height, old_height), max(width, old_width)
    need = count * height * width * channels
    memory = psutil.virtual_memory().total
    if need > memory:
        raise InputError(
            f"{count} images of up to {height} x {width} px need {need / 2**30:.3g} GiB, and this "
            f"machine has {memory / 2**30:.3g} GiB of memory; train on fewer or smaller images"
        )
    return np.pad(pixels, ((0, 0), (0, height - old_height), (0, width - old_width), (0, 0)))
