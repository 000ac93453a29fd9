"""Annotated micrographs as training samples: alone, or mixed with synthetic ones."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from nanorender.errors import InputError
from nanorender.files.collection import Collection
from nanorender.files.labeled import LabeledImage
from nanorender.files.micrograph import Micrograph
from unet.data import PixelSizes, Samples, TrainedDiameters, make_samples, to_trained_scale
from unet.presets import TrainSettings
from unet.targets import close_gaps


def load_annotated(micrographs: Collection, settings: TrainSettings) -> Samples:
    """Load annotated micrographs for training, each at its own scale.

    Parameters
    ----------
    micrographs : micrographs with their annotations
    settings : training settings

    Returns
    -------
    samples : equalized images and targets

    Raises
    ------
    InputError
        If the collection has no annotations, or a pixel size is unknown.
    """
    images = (_labeled(micrograph, micrographs) for micrograph in micrographs)
    samples = make_samples(images, len(micrographs), settings)
    return samples._replace(annotated=len(micrographs))


def add_annotated(synthetic: Samples, micrographs: Collection, settings: TrainSettings) -> Samples:
    """Append annotated micrographs, resampled to the scale of the synthetic samples.

    Parameters
    ----------
    synthetic : samples of a dataset
    micrographs : micrographs with their annotations
    settings : training settings

    Returns
    -------
    samples : the synthetic samples followed by the micrographs

    Raises
    ------
    InputError
        If the collection has no annotations, or a pixel size is unknown.
    """
    images = _at_scale(micrographs, synthetic.pixel_sizes)
    scaled = synthetic.pixel_sizes is not None
    real = make_samples(images, len(micrographs), settings, scaled)
    both = (synthetic, real)
    edges = [max(samples.pixels.shape[axis] for samples in both) for axis in (1, 2)]
    ranges = [samples.diameters for samples in both if samples.diameters is not None]
    return Samples(
        pixels=np.concatenate([_padded(samples.pixels, edges) for samples in both]),
        sizes=np.concatenate([samples.sizes for samples in both]),
        pixel_sizes=_joined(synthetic.pixel_sizes, real.pixel_sizes),
        diameters=_joined_diameters(ranges) if ranges else None,
        relative_loss=synthetic.relative_loss,
        annotated=len(micrographs),
    )


def _labeled(micrograph: Micrograph, micrographs: Collection) -> LabeledImage:
    """Combine a micrograph with its annotation."""
    truth = micrographs.truth(micrograph)
    if truth is None:
        raise InputError(
            f"{micrograph.path} has no annotation to train on; give the suffix of the annotations "
            "or their folder"
        )
    return LabeledImage(
        micrograph.image, close_gaps(truth), micrograph.pixel_size_nm, micrograph.path
    )


def _joined(synthetic: PixelSizes | None, real: PixelSizes | None) -> PixelSizes | None:
    """Extend the range of the synthetic pixel sizes by that of the micrographs."""
    if synthetic is None or real is None:
        return None
    return PixelSizes(
        lowest_nm=min(synthetic.lowest_nm, real.lowest_nm),
        median_nm=synthetic.median_nm,
        highest_nm=max(synthetic.highest_nm, real.highest_nm),
    )


def _joined_diameters(ranges: Sequence[TrainedDiameters]) -> TrainedDiameters:
    """Return the range that contains all ranges."""
    return TrainedDiameters(
        lowest=min(each.lowest for each in ranges), highest=max(each.highest for each in ranges)
    )


def _at_scale(micrographs: Collection, trained: PixelSizes | None) -> Iterator[LabeledImage]:
    """Read annotated micrographs, resampling those of a pixel size not seen in training."""
    for micrograph in micrographs:
        image, labels, pixel_size_nm, path = _labeled(micrograph, micrographs)
        scaled = to_trained_scale(image, pixel_size_nm, trained)
        if trained is not None and scaled.shape != image.shape:
            size = (scaled.shape[1], scaled.shape[0])
            nearest = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
            labels, pixel_size_nm = np.asarray(nearest, np.int32), trained.median_nm
        yield LabeledImage(scaled, labels, pixel_size_nm, path)


def _padded(pixels: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """Pad a stack of images to a height and width."""
    padding = [(0, edge - size) for edge, size in zip(edges, pixels.shape[1:3], strict=True)]
    return np.pad(pixels, ((0, 0), *padding, (0, 0)))
