"""Ranking of the epochs of a training, by annotated micrographs or without annotations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nanorender.errors import InputError
from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation, separate
from unet.checkpoint import read_card, read_model, write_model
from unet.predict import Model, load_model, predict
from unet.presets import TrainSettings, TruthCriterion
from unet.run_folder import MODEL_NAME, epoch_path, epochs_with_weights, prediction_path
from unet.segment import compensate_erosion
from unet.validation import ValidationImage, read_prediction, validation_error

_Maps = Mapping[str, Float[np.ndarray, "h w"]]


@dataclass(frozen=True)
class RankedEpoch:
    """Epoch of a run and its score.

    Attributes
    ----------
    epoch : number of the epoch
    score : 1 is best
    parts : values that the score was computed from, by name

    Examples
    --------
    >>> print(RankedEpoch(3, 0.8, {"object_f1": 0.8, "error": 0.25}))
    epoch 3: 0.8000 (object_f1 0.800, error 0.250)
    """

    epoch: int
    score: float
    parts: dict[str, float]

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in self.parts.items())
        return f"epoch {self.epoch}: {self.score:.4f} ({parts})"


def rank_by_truth(
    run_folder: Path,
    validation: Sequence[ValidationImage],
    criterion: TruthCriterion = "object_f1",
    separation: Separation | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[RankedEpoch]:
    """Rank epochs by their mean score on annotated images.

    Parameters
    ----------
    run_folder : folder of the training
    validation : validation images of the training
    criterion : F1 score of particles or of pixels, or the error of
        `unet.validation.validation_error`; the score is then exp(-error)
    separation : how particles are separated, the default settings if None
    on_progress : function called with the number of epochs done and their total

    Returns
    -------
    ranked : epochs, best first

    Raises
    ------
    InputError
        If no image is annotated, or no epoch was kept with its predictions.
    """
    separation = Separation() if separation is None else separation
    annotated = [(image, image.truth) for image in validation if image.truth is not None]
    if not annotated:
        raise InputError("no validation image is annotated; rank with --by label_free instead")
    ranked = []
    kept = kept_epochs(run_folder, validation)
    for epoch, training in kept.items():
        scores = []
        for image, truth in annotated:
            maps = read_prediction(run_folder, epoch, image, training.targets)
            labels = separate(maps, compensate_erosion(separation, training))
            agreement = score_labels(labels, truth)
            error = validation_error(maps["foreground"], truth, training)
            scores.append((agreement.objects.f1, agreement.pixels.f1, error))
        object_f1, pixel_f1, error = np.mean(scores, axis=0).tolist()
        parts = {"object_f1": object_f1, "pixel_f1": pixel_f1, "error": error}
        score = float(np.exp(-error)) if criterion == "error" else parts[criterion]
        ranked.append(RankedEpoch(epoch, score, parts))
        on_progress(len(ranked), len(kept))
    return _best_first(ranked)


def rank_without_truth(
    run_folder: Path,
    validation: Sequence[ValidationImage],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[RankedEpoch]:
    """Rank epochs by the stability of their predictions.

    Three parts are computed, each from 0 to 1 and averaged over the images; the score is the first:

    - stability: agreement with the prediction of the image flipped vertically, at lower contrast
    - agreement: agreement with the predictions of the neighboring epochs
    - sharpness: distance of the probabilities from one half

    The other two increase as the learning rate falls, regardless of accuracy: in two trainings of
    the preset "cpu", six epochs each, rank correlations with the F1 score of the particles on five
    real images were 0.94 and 0.77 for stability, 0.49 and 0.77 for agreement, 0.60 and 0.71 for
    sharpness, 0.49 and 0.71 for the geometric mean of the three, which selected the last epoch both
    times; stability selected the best one.

    Parameters
    ----------
    run_folder : folder of the training
    validation : validation images of the training
    on_progress : function called with the number of epochs done and their total

    Returns
    -------
    ranked : epochs, best first

    Raises
    ------
    InputError
        If there is no validation image, or no epoch was kept with its predictions.
    """
    kept = list(kept_epochs(run_folder, validation))
    ranked = []
    for epoch in kept:
        model = load_model(epoch_path(run_folder, epoch))
        neighbors = _neighbors(kept, epoch)
        scores = [_label_free_parts(run_folder, model, neighbors, image) for image in validation]
        parts = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        ranked.append(RankedEpoch(epoch, parts["stability"], parts))
        on_progress(len(ranked), len(kept))
    return _best_first(ranked)


def epoch_agreement(
    run_folder: Path, validation: Sequence[ValidationImage], epoch: int
) -> float | None:
    """Compare the particles that an epoch and its neighbors find in the validation images.

    Parameters
    ----------
    run_folder : folder of the training
    validation : validation images of the training
    epoch : number of the epoch

    Returns
    -------
    f1 : mean F1 score of the particles at an IoU of 0.5; None if the predictions of the epoch or
        of all its neighbors were not kept
    """
    epochs = _predicted_epochs(run_folder, validation)
    if epoch not in epochs or not validation:
        return None
    neighbors = _neighbors(epochs, epoch)
    training = read_card(epoch_path(run_folder, epoch)).training
    separation = compensate_erosion(Separation(), training)
    scores = []
    for image in validation:
        labels, *others = (
            separate(read_prediction(run_folder, each, image, training.targets), separation)
            for each in (epoch, *neighbors)
        )
        scores += [score_labels(other, labels).objects.f1 for other in others]
    return float(np.mean(scores)) if scores else None


def select_epoch(run_folder: Path, epoch: int, agreement: float | None = None) -> Path:
    """Make the weights of an epoch the model of the run.

    Parameters
    ----------
    run_folder : folder of the training
    epoch : number of the epoch
    agreement : agreement with its neighbors, for the header of the model; None if unknown

    Returns
    -------
    path : model file

    Raises
    ------
    InputError
        If the weights of this epoch were not kept.
    """
    path = epoch_path(run_folder, epoch)
    if not path.is_file():
        kept = ", ".join(map(str, epochs_with_weights(run_folder))) or "none"
        raise InputError(f"weights of epoch {epoch} were not kept in {run_folder}; kept: {kept}")
    card, weights = read_model(path)
    card = card.model_copy(update={"epoch_agreement": agreement})
    write_model(run_folder / MODEL_NAME, card, weights)
    return run_folder / MODEL_NAME


def kept_epochs(
    run_folder: Path, validation: Sequence[ValidationImage]
) -> dict[int, TrainSettings]:
    """Find the epochs whose weights and predictions of all images were kept.

    Parameters
    ----------
    run_folder : folder of the training
    validation : validation images of the training

    Returns
    -------
    epochs : training settings of each epoch

    Raises
    ------
    InputError
        If there is no validation image or no such epoch.
    """
    if not validation:
        raise InputError("epochs are ranked on validation images; give some with --validation")
    kept = {
        epoch: read_card(epoch_path(run_folder, epoch)).training
        for epoch in _predicted_epochs(run_folder, validation)
    }
    if not kept:
        raise InputError(
            f"{run_folder} has no epoch with predictions of these images; "
            "train with them as validation images"
        )
    return kept


def _predicted_epochs(run_folder: Path, validation: Sequence[ValidationImage]) -> list[int]:
    """List the epochs whose weights and predictions of all images were kept."""
    return [
        epoch
        for epoch in epochs_with_weights(run_folder)
        if all(prediction_path(run_folder, epoch, image.name).is_file() for image in validation)
    ]


def _neighbors(epochs: Sequence[int], epoch: int) -> list[int]:
    """Return the epochs before and after one of them."""
    index = epochs.index(epoch)
    return [*epochs[max(0, index - 1) : index], *epochs[index + 1 : index + 2]]


def _label_free_parts(
    run_folder: Path, model: Model, neighbors: Sequence[int], image: ValidationImage
) -> dict[str, float]:
    """Compute the parts of the score of an epoch on one image."""
    epoch, targets = model.card.epoch, model.card.training.targets
    maps = read_prediction(run_folder, epoch, image, targets)
    # Lower contrast and fewer gray levels imitate a noisier detector.
    perturbed = np.ascontiguousarray(image.image[::-1] // 4)
    turned = predict(model, perturbed, image.pixel_size_nm)
    others = [read_prediction(run_folder, n, image, targets) for n in neighbors]
    return {
        "stability": _soft_dice(maps, {name: map_[::-1] for name, map_ in turned.items()}),
        "agreement": float(np.mean([_soft_dice(maps, o) for o in others])) if others else 1.0,
        "sharpness": _sharpness(maps),
    }


def _soft_dice(a: _Maps, b: _Maps) -> float:
    """Soft Dice coefficient of two predictions; 0 if both are empty."""
    common = sum(float(np.minimum(a[name], b[name]).sum()) for name in a)
    total = sum(float((a[name] + b[name]).sum()) for name in a)
    return 2 * common / total if total > 0 else 0.0


def _sharpness(maps: _Maps) -> float:
    """Sharpness: 1 for probabilities of 0 and 1, less in between; 0 if all are 0."""
    maps = {name: map_ for name, map_ in maps.items() if name != "distance"}
    doubt = sum(float((map_ * (1 - map_)).sum()) for map_ in maps.values())
    total = sum(float(map_.sum()) for map_ in maps.values())
    return max(0.0, 1 - 2 * doubt / total) if total > 0 else 0.0


def _best_first(ranked: list[RankedEpoch]) -> list[RankedEpoch]:
    """Sort by score, and later epochs first among equal ones."""
    return sorted(ranked, key=lambda item: (-item.score, -item.epoch))
