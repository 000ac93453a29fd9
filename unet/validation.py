"""Predictions of real micrographs during a training, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from jaxtyping import Float, Int, UInt8, UInt16

from nanorender.errors import InputError
from nanorender.files.collection import Collection
from nanorender.files.imagefile import read_pages
from nanorender.scoring.scores import score_labels
from unet.predict import Model, predict
from unet.presets import TrainSettings
from unet.run_folder import prediction_path
from unet.targets import close_gaps, targets


@dataclass(frozen=True)
class ValidationImage:
    """Micrograph to be predicted during a training.

    Attributes
    ----------
    name : name of its files in the run folder
    image : (h, w) gray values
    pixel_size_nm : pixel size in nm, None if unknown
    truth : (h, w) annotated label map, None if not annotated
    """

    name: str
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    pixel_size_nm: float | None
    truth: Int[np.ndarray, "h w"] | None = None


class ValidationScores(NamedTuple):
    """Agreement of a prediction with the annotation.

    Attributes
    ----------
    pixel_f1 : F1 score of the pixels, at the threshold of the training settings
    error : mean binary cross-entropy of the foreground, in nats per pixel
    """

    pixel_f1: float
    error: float


def validation_images(micrographs: Collection) -> list[ValidationImage]:
    """Read micrographs, with annotations if the collection has any.

    Parameters
    ----------
    micrographs : micrographs of a study

    Returns
    -------
    images : one per micrograph
    """
    return [
        ValidationImage(image.name, image.image, image.pixel_size_nm, micrographs.truth(image))
        for image in micrographs
    ]


def write_predictions(
    run_folder: Path, model: Model, images: Sequence[ValidationImage]
) -> dict[str, ValidationScores]:
    """Write the prediction of each image as a TIFF with one page per target, scaled to 0 to 255.

    Parameters
    ----------
    run_folder : folder of the training
    model : model after an epoch
    images : micrographs to predict

    Returns
    -------
    scores : scores of the annotated images by name
    """
    scores = {}
    training = model.card.training
    for image in images:
        maps = predict(model, image.image, image.pixel_size_nm)
        path = prediction_path(run_folder, model.card.epoch, image.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pages = np.stack([(255 * map_).round().astype(np.uint8) for map_ in maps.values()])
        tifffile.imwrite(path, pages, photometric="minisblack", compression="zlib")
        if image.truth is not None:
            found = (maps["foreground"] >= training.threshold).astype(np.int32)
            f1 = score_labels(found, image.truth).pixels.f1
            error = validation_error(maps["foreground"], image.truth, training)
            scores[image.name] = ValidationScores(f1, error)
    return scores


def validation_error(
    foreground: Float[np.ndarray, "h w"], truth: Int[np.ndarray, "h w"], settings: TrainSettings
) -> float:
    """Compute the mean cross-entropy of a predicted foreground against the training target.

    Probabilities are clipped to half a step of the eight bits in which predictions are stored.

    Parameters
    ----------
    foreground : (h, w) probability
    truth : (h, w) annotated label map
    settings : training settings, which define the target

    Returns
    -------
    error : cross-entropy in nats per pixel

    Examples
    --------
    >>> import numpy as np
    >>> from unet.presets import preset
    >>> truth = np.ones((8, 8), np.int32)
    >>> round(validation_error(np.full((8, 8), 0.5), truth, preset("cpu")), 3)
    0.693
    """
    target = targets(close_gaps(truth), settings)[..., settings.targets.index("foreground")]
    probability = np.clip(foreground, 0.5 / 255, 1 - 0.5 / 255)
    return float(-np.log(np.where(target > 0, probability, 1 - probability)).mean())


def read_prediction(
    run_folder: Path, epoch: int, image: ValidationImage, targets: Sequence[str]
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Read the prediction of an image after an epoch.

    Parameters
    ----------
    run_folder : folder of the training
    epoch : number of the epoch
    image : validation image of the training
    targets : names of the outputs of the network

    Returns
    -------
    maps : (h, w) probability of each target by name

    Raises
    ------
    InputError
        If there is no prediction, or it belongs to another image.
    """
    path = prediction_path(run_folder, epoch, image.name)
    if not path.is_file():
        raise InputError(f"{path} is missing; train with '{image.name}' as a validation image")
    pages = read_pages(path, len(targets))
    if pages.shape[1:] != image.image.shape:
        raise InputError(
            f"{path} has {pages.shape[1]} x {pages.shape[2]} pixels, but '{image.name}' has "
            f"{image.image.shape[0]} x {image.image.shape[1]}; give the image of the training"
        )
    return {key: page.astype(np.float32) / 255 for key, page in zip(targets, pages, strict=True)}
