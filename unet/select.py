"""Which epoch to keep: by the truth of annotated micrographs, or without any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from nanorender.errors import InputError
from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation, separate
from unet.checkpoint import read_card, read_model, write_model
from unet.predict import Model, load_model, predict
from unet.presets import TrainSettings
from unet.run_folder import (
    MODEL_NAME,
    epoch_path,
    epochs_with_weights,
    prediction_path,
)
from unet.segment import grown_back
from unet.validation import (
    ValidationImage,
    read_prediction,
    validation_error,
)

SEPARATION = Separation()
Score = Literal["object_f1", "pixel_f1", "error"]
OnProgress = Callable[[int, int], None]  # how many epochs are done, and of how many
Maps = Mapping[str, Float[np.ndarray, "h w"]]


@dataclass(frozen=True)
class RankedEpoch:
    """An epoch of a run and what it scored, 1 being best.

    Attributes
    ----------
    parts: what the score was made of, by name
    """

    epoch: int
    score: float
    parts: dict[str, float]

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in self.parts.items())
        return f"epoch {self.epoch}: {self.score:.4f} ({parts})"


def rank(
    run_folder: Path,
    validation: Sequence[ValidationImage],
    by: Score | Literal["label_free"],
    on_progress: OnProgress = lambda done, total: None,
) -> list[RankedEpoch]:
    """Return the epochs of a run, best first; raises InputError as the two ways it chooses from."""
    if by == "label_free":
        return rank_without_truth(run_folder, validation, on_progress)
    return rank_by_truth(run_folder, validation, by, SEPARATION, on_progress)


def rank_by_truth(
    run_folder: Path,
    validation: Sequence[ValidationImage],
    score: Score = "object_f1",
    separation: Separation = SEPARATION,
    on_progress: OnProgress = lambda done, total: None,
) -> list[RankedEpoch]:
    """Return the epochs, best first, by a mean score on the annotated images.

    Parameters
    ----------
    score: F1 of particles or of pixels, or the error of `unet.validation.validation_error`, of
        which the least is best: the score is then what its negative is the logarithm of

    Raises
    ------
    InputError
        If no image is annotated, or no epoch has been kept with its predictions.
    """
    annotated = [(image, image.truth) for image in validation if image.truth is not None]
    if not annotated:
        raise InputError("no validation image is annotated; rank without truth instead")
    ranked = []
    kept = kept_epochs(run_folder, validation)
    for epoch, training in kept.items():
        scores = []
        for image, truth in annotated:
            maps = read_prediction(run_folder, epoch, image, training.targets)
            labels = separate(maps, grown_back(separation, training))
            agreement = score_labels(labels, truth)
            error = validation_error(maps["foreground"], truth, training)
            scores.append((agreement.objects.f1, agreement.pixels.f1, error))
        of_objects, of_pixels, error = np.mean(scores, axis=0).tolist()
        parts: dict[str, float] = {"object_f1": of_objects, "pixel_f1": of_pixels, "error": error}
        total = float(np.exp(-error)) if score == "error" else parts[score]
        ranked.append(RankedEpoch(epoch, total, parts))
        on_progress(len(ranked), len(kept))
    return _best_first(ranked)


def rank_without_truth(
    run_folder: Path,
    validation: Sequence[ValidationImage],
    on_progress: OnProgress = lambda done, total: None,
) -> list[RankedEpoch]:
    """Return the epochs, best first, by how steady their predictions are.

    The score is the first of three parts, each 0 to 1 and the mean over the images:

    - stability: agreement with the prediction of the image turned upside down at less contrast
    - agreement: with the predictions of the neighbouring epochs
    - sharpness: how far the probabilities are from one half

    The other two rise as the learning rate falls, whatever is learnt: in two trainings of the
    preset "cpu", six epochs each, rank correlations with the F1 of the particles on five real
    images were 0.94 and 0.77 for stability, 0.49 and 0.77 for agreement, 0.60 and 0.71 for
    sharpness, 0.49 and 0.71 for the geometric mean of the three, which chose the last epoch both
    times; stability chose the best one.

    Raises
    ------
    InputError
        If there is no validation image, or no epoch has been kept with its predictions.
    """
    kept = list(kept_epochs(run_folder, validation))
    ranked = []
    for index, epoch in enumerate(kept):
        model = load_model(epoch_path(run_folder, epoch))
        neighbours = kept[max(0, index - 1) : index] + kept[index + 1 : index + 2]
        scores = [_unsupervised(run_folder, model, neighbours, image) for image in validation]
        parts = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        ranked.append(RankedEpoch(epoch, parts["stability"], parts))
        on_progress(len(ranked), len(kept))
    return _best_first(ranked)


def select_epoch(run_folder: Path, epoch: int) -> Path:
    """Make the weights of an epoch the model of the run; return the path of the model file.

    Raises
    ------
    InputError
        If the weights of this epoch have not been kept.
    """
    path = epoch_path(run_folder, epoch)
    if not path.is_file():
        kept = ", ".join(map(str, epochs_with_weights(run_folder))) or "none"
        raise InputError(f"weights of epoch {epoch} were not kept in {run_folder}; kept: {kept}")
    write_model(run_folder / MODEL_NAME, *read_model(path))
    return run_folder / MODEL_NAME


def kept_epochs(
    run_folder: Path, validation: Sequence[ValidationImage]
) -> dict[int, TrainSettings]:
    """Return the settings of each epoch of which weights and all predictions have been kept.

    Raises
    ------
    InputError
        If there is none, or no validation image.
    """
    if not validation:
        raise InputError("epochs are ranked on validation images; give some with --validation")
    kept = {}
    for epoch in epochs_with_weights(run_folder):
        if all(prediction_path(run_folder, epoch, image.name).is_file() for image in validation):
            kept[epoch] = read_card(epoch_path(run_folder, epoch)).training
    if not kept:
        raise InputError(
            f"{run_folder} keeps no epoch with predictions of these images; "
            "train with them as validation images"
        )
    return kept


def _unsupervised(
    run_folder: Path, model: Model, neighbours: Sequence[int], image: ValidationImage
) -> dict[str, float]:
    """Return the three parts of the score of an epoch on one image."""
    epoch, targets = model.card.epoch, model.card.training.targets
    maps = read_prediction(run_folder, epoch, image, targets)
    # Less contrast in few gray levels: as a noisier detector would have taken it.
    other = np.ascontiguousarray(image.image[::-1] // 4)
    turned = predict(model, other, image.pixel_size_nm)
    beside = [read_prediction(run_folder, n, image, targets) for n in neighbours]
    return {
        "stability": _overlap(maps, {name: map_[::-1] for name, map_ in turned.items()}),
        "agreement": float(np.mean([_overlap(maps, b) for b in beside])) if beside else 1.0,
        "sharpness": _sharpness(maps),
    }


def _overlap(a: Maps, b: Maps) -> float:
    """Return the soft Dice coefficient of two predictions; background in both counts nothing."""
    common = sum(float(np.minimum(a[name], b[name]).sum()) for name in a)
    total = sum(float((a[name] + b[name]).sum()) for name in a)
    return 2 * common / total if total > 0 else 0.0


def _sharpness(maps: Maps) -> float:
    """Return 1 for probabilities of 0 and 1, less for those between; 0 where nothing is found."""
    maps = {name: map_ for name, map_ in maps.items() if name != "distance"}
    doubt = sum(float((map_ * (1 - map_)).sum()) for map_ in maps.values())
    total = sum(float(map_.sum()) for map_ in maps.values())
    return max(0.0, 1 - 2 * doubt / total) if total > 0 else 0.0


def _best_first(ranked: list[RankedEpoch]) -> list[RankedEpoch]:
    """Sort by score; of equal ones, the later epoch first."""
    return sorted(ranked, key=lambda item: (-item.score, -item.epoch))
