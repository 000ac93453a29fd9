"""Real micrographs that show during training how the network does on them."""

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
from unet.annotated import without_lines
from unet.data import targets
from unet.predict import Model, predict
from unet.presets import TrainSettings


@dataclass(frozen=True)
class ValidationImage:
    """A micrograph to be predicted after epochs.

    Attributes
    ----------
    name: names its files in the run folder
    image: (h, w) gray levels
    truth: (h, w) label map, if it has been annotated
    """

    name: str
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    pixel_size_nm: float | None
    truth: Int[np.ndarray, "h w"] | None = None


def validation_images(micrographs: Collection) -> list[ValidationImage]:
    """Return the micrographs of a study, with their annotations if these are to be used."""
    return [
        ValidationImage(image.name, image.image, image.pixel_size_nm, micrographs.truth(image))
        for image in micrographs
    ]


class Scores(NamedTuple):
    """How a prediction agrees with the annotation.

    Attributes
    ----------
    pixel_f1: harmonic mean of precision and recall of the pixels
    error: mean binary cross-entropy of the foreground against its target, in nats per pixel
    """

    pixel_f1: float
    error: float


def keep_predictions(
    run_folder: Path, model: Model, images: Sequence[ValidationImage]
) -> dict[str, Scores]:
    """Write what the model gives for each image; return the scores of those annotated, by name.

    A prediction is a TIFF of one page a target, 255 for probability one.
    """
    scores = {}
    for image in images:
        maps = predict(model, image.image, image.pixel_size_nm)
        path = prediction_path(run_folder, model.card.epoch, image.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pages = np.stack([(255 * map_).round().astype(np.uint8) for map_ in maps.values()])
        tifffile.imwrite(path, pages, photometric="minisblack", compression="zlib")
        if image.truth is not None:
            training, foreground = model.card.training, maps["foreground"]
            found = (foreground >= training.threshold).astype(np.int32)
            error = validation_error(foreground, image.truth, training)
            scores[image.name] = Scores(score_labels(found, image.truth).pixels.f1, error)
    return scores


def validation_error(
    foreground: Float[np.ndarray, "h w"], truth: Int[np.ndarray, "h w"], settings: TrainSettings
) -> float:
    """Return the mean cross-entropy of a predicted foreground against the target of training.

    Probabilities count as no closer to 0 and 1 than the eight bits they are kept in can tell.
    """
    target = targets(without_lines(truth), settings)[..., settings.targets.index("foreground")]
    probability = np.clip(foreground, 0.5 / 255, 1 - 0.5 / 255)
    return float(-np.log(np.where(target > 0, probability, 1 - probability)).mean())


def read_prediction(
    run_folder: Path, epoch: int, image: ValidationImage, targets: Sequence[str]
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the kept maps of an image after an epoch.

    Raises
    ------
    InputError
        If none was kept, as the image was not among the validation images of the training, or
        another image was.
    """
    path = prediction_path(run_folder, epoch, image.name)
    if not path.is_file():
        raise InputError(f"{path} is missing; train with '{image.name}' as a validation image")
    pages = read_pages(path, len(targets))
    if pages.shape[1:] != image.image.shape:
        raise InputError(
            f"{path} is of {pages.shape[1]} x {pages.shape[2]} pixels, but '{image.name}' has "
            f"{image.image.shape[0]} x {image.image.shape[1]}; give the image of the training"
        )
    return {key: page.astype(np.float32) / 255 for key, page in zip(targets, pages, strict=True)}


def prediction_path(run_folder: Path, epoch: int, name: str) -> Path:
    """Return where the prediction of an image after an epoch is kept."""
    return run_folder / "validation" / f"{epoch:04d}" / f"{name}.tif"
