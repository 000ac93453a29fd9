"""Annotated micrographs as training images: alone, or mixed among synthetic ones."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Int, Int32

from nanorender.errors import InputError
from nanorender.files.collection import Collection
from nanorender.files.labeled import LabeledImage
from nanorender.files.micrograph import Micrograph
from unet.data import PixelSizes, Samples, make_samples, to_trained_scale
from unet.presets import TrainSettings


def load_annotated(micrographs: Collection, settings: TrainSettings) -> Samples:
    """Return annotated micrographs ready for training, each at its own scale.

    Raises
    ------
    InputError
        If no annotations are named, or a pixel size is unknown.
    """
    images = [_labeled(micrograph, micrographs) for micrograph in micrographs]
    return all_annotated(make_samples(images, len(images), settings))


def all_annotated(samples: Samples) -> Samples:
    """Return the samples as those of annotated micrographs."""
    return samples._replace(annotated=len(samples.sizes))


def mix(synthetic: Samples, micrographs: Collection, settings: TrainSettings) -> Samples:
    """Return synthetic samples with annotated micrographs after them, at the scale of the former.

    Raises
    ------
    InputError
        As `load_annotated`.
    """
    images = _at_scale(micrographs, synthetic.pixel_sizes)
    real = make_samples(images, len(micrographs), settings)
    both = (synthetic, real)
    edges = [max(samples.pixels.shape[axis] for samples in both) for axis in (1, 2)]
    known = [samples.least_trained_nm for samples in both if samples.least_trained_nm is not None]
    return Samples(
        pixels=np.concatenate([_enlarged(samples.pixels, edges) for samples in both]),
        sizes=np.concatenate([samples.sizes for samples in both]),
        pixel_sizes=PixelSizes(
            lowest_nm=min(samples.pixel_sizes.lowest_nm for samples in both),
            median_nm=synthetic.pixel_sizes.median_nm,
            highest_nm=max(samples.pixel_sizes.highest_nm for samples in both),
        ),
        least_trained_nm=min(known, default=None),
        annotated=len(real.sizes),
    )


def without_lines(labels: Int[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Return the labels with lines one pixel wide between two particles given to one of them.

    Annotators part touching particles by such lines; what touches is learnt from label maps in
    which it does.
    """
    ceiling = np.int32(labels.max(initial=0) + 1)
    highest = _dilated(labels.astype(np.int32))
    lowest = ceiling - _dilated(np.where(labels > 0, ceiling - labels, 0))
    between = (labels == 0) & (highest > 0) & (highest != lowest)
    return np.where(between, highest, labels).astype(np.int32)


def _dilated(labels: Int[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Return the highest label of each pixel and its eight neighbours."""
    padded = np.pad(labels, 1)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def _labeled(micrograph: Micrograph, micrographs: Collection) -> LabeledImage:
    """Return a micrograph with its annotation."""
    truth = micrographs.truth(micrograph)
    if truth is None:
        raise InputError(
            f"{micrograph.path} is to be learnt from, but no annotations are named; give the "
            "suffix of their names, or their folder"
        )
    labels = without_lines(truth)
    return LabeledImage(micrograph.image, labels, micrograph.pixel_size_nm, micrograph.path)


def _at_scale(micrographs: Collection, trained: PixelSizes) -> Iterator[LabeledImage]:
    """Give each micrograph and its annotation, resampled where its scale lies outside."""
    for micrograph in micrographs:
        image, labels, pixel_size_nm, path = _labeled(micrograph, micrographs)
        scaled = to_trained_scale(image, pixel_size_nm, trained)
        if scaled.shape != image.shape:
            size = (scaled.shape[1], scaled.shape[0])
            nearest = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
            labels, pixel_size_nm = np.asarray(nearest, np.int32), trained.median_nm
        yield LabeledImage(scaled, labels, pixel_size_nm, path)


def _enlarged(pixels: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """Return the stack of images with room for images of these edges."""
    more = [(0, edge - have) for edge, have in zip(edges, pixels.shape[1:3], strict=True)]
    return np.pad(pixels, ((0, 0), *more, (0, 0)))
