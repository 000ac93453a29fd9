"""Adaptation of a model to a study: trained further on twins of its micrographs, kept if better.

Twins are synthetic images like the micrographs, with exact labels. Whether the adapted model is
better is decided on other twins, since the micrographs have no truth; on these, it must not be less
repeatable.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.checksums import file_sha256
from nanorender.files.labeled import LabeledImage
from nanorender.files.micrograph import Micrograph
from nanorender.files.segmentation import SegmentationRecord
from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation
from nanorender.settings import Fraction, Settings
from unet.checkpoint import MODEL_NAME, read_model, write_model
from unet.data import samples_of_any_size
from unet.predict import load_model
from unet.presets import PRESETS, TrainSettings
from unet.repeatability import checked_part, repeatability
from unet.segment import segment_as_recorded
from unet.train import TrainingProgress, is_training_of, train

ADAPTATION = "adaptation.json"
"""Name of the record in the folder of an adapted model."""

TRAINING = "training"
"""Name of the folder of its training, inside of it."""

LARGEST_LOSS_OF_REPEATABILITY = 0.05
"""Decrease of the mean repeatability from which an adapted model is not kept."""

MOST_UNLIKE = 2.0
"""Difference of twins from the micrographs, in noise floors, above which nothing is learned.

On beds of silica spheres (SEM), twins at 2.4 noise floors found more particles in other twins, but
the object F1 on the micrographs fell from 0.92 to 0.91.
"""

LEARNED_TWINS, CHECKED_TWINS = 48, 12
"""Number of twins for the training, and of others that decide."""

MOST_REPEATED = 10
"""Number of micrographs whose repeatability is compared."""


class TwinSet(NamedTuple):
    """Twins of a study.

    Attributes
    ----------
    learned : read one at a time, for training
    learned_count : their number
    held_out : others, to decide
    relative_loss : difference from the micrographs in noise floors, see `Recipe.relative_loss`
    """

    learned: Iterable[LabeledImage]
    learned_count: int
    held_out: Sequence[LabeledImage]
    relative_loss: float | None


class Adaptation(Settings):
    """Outcome of an adaptation, the content of adaptation.json."""

    initial_sha256: str
    """SHA-256 of the file of the model before."""
    f1_before: tuple[Fraction, ...] = Field(min_length=2)
    """F1 score of the particles in each twin that was held out, at an IoU of 0.5."""
    f1_after: tuple[Fraction, ...] = Field(min_length=2)
    """The same of the adapted model."""
    repeatability_before: Fraction | None
    """Mean of the micrographs, see `unet.repeatability`; None with too few particles."""
    repeatability_after: Fraction | None
    """The same of the adapted model."""

    @property
    def gain(self) -> tuple[float, float]:
        """Mean gain of the F1 score and its standard error."""
        gains = np.subtract(self.f1_after, self.f1_before)
        return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))

    @property
    def kept(self) -> bool:
        """Whether the adapted model is better.

        Its gain must exceed the standard error, and its repeatability must not be far lower.
        """
        gain, error = self.gain
        before, after = self.repeatability_before, self.repeatability_after
        if before is None:
            return gain > error
        lost = before - (0.0 if after is None else after)
        return gain > error and lost < LARGEST_LOSS_OF_REPEATABILITY

    def __str__(self) -> str:
        before, after = np.mean(self.f1_before), np.mean(self.f1_after)
        scores = f"F1 of {len(self.f1_before)} twins {before:.3f} before, {after:.3f} adapted"
        if self.repeatability_before is not None:
            adapted = self.repeatability_after
            scores += (
                f"; repeatability {self.repeatability_before:.3f} before, "
                f"{'unknown' if adapted is None else f'{adapted:.3f}'} adapted"
            )
        return f"{scores}: {'the adapted' if self.kept else 'the earlier'} model is kept"


def adaptation_settings(initial: TrainSettings, seed: int = 0) -> TrainSettings:
    """Choose the training settings by which a model is adapted.

    Parameters
    ----------
    initial : settings of its training, which determine network and targets
    seed : seed of the patches

    Returns
    -------
    settings : those of the preset "adapt" for this network

    Examples
    --------
    >>> from unet.presets import preset
    >>> adaptation_settings(preset("cpu")).channels
    (24, 48, 96, 192)
    """
    names = ("channels", "block_px", "targets", "erosion_px", "border_px", "border_weight")
    same = {name: getattr(initial, name) for name in names}
    return PRESETS["adapt"].model_copy(update={**same, "seed": seed})


def adapt(
    initial: Path,
    twins: TwinSet,
    micrographs: Sequence[Micrograph],
    record: SegmentationRecord,
    folder: Path,
    seed: int = 0,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
) -> Adaptation:
    """Train a model further on twins of micrographs, and keep it if it is better.

    The folder then holds model.safetensors, the adapted or the earlier model, and adaptation.json.
    An interrupted training is resumed.

    Parameters
    ----------
    initial : file of the model, for particles of any size
    twins : twins of the micrographs
    micrographs : micrographs of the study
    record : of a label map that the model made of one of them
    folder : folder to write, created if missing
    seed : seed of the patches
    on_progress : called after each step of the training

    Returns
    -------
    Scores before and after.

    Raises
    ------
    InputError
        If the model is one for a single pixel size, the twins are unlike the micrographs, or the
        folder holds a model that was not adapted.
    KeyboardInterrupt
        After SIGINT or SIGTERM, when the training is written.
    """
    card, _ = read_model(initial)
    if card.pixel_sizes is not None:
        raise InputError(
            f"{initial} was trained at the scale of one recipe; adapt the general model, or train "
            "on a recipe like the sample"
        )
    refuse_other_model(folder)
    loss = twins.relative_loss
    if loss is not None and loss > MOST_UNLIKE:
        raise InputError(
            f"the twins differ from the micrographs by {loss:.1f} noise floors, more than "
            f"{MOST_UNLIKE:g}, so the model is not adapted; choose a recipe with --recipe that is "
            "more like the sample, or use the model as it is"
        )

    # Train on the twins; confidences are computed as before
    settings = adaptation_settings(card.training, seed)
    samples = samples_of_any_size(twins.learned, twins.learned_count, settings)
    samples = samples._replace(relative_loss=twins.relative_loss)
    trained = folder / TRAINING
    if trained.is_dir() and not is_training_of(trained, samples, settings):
        shutil.rmtree(trained)  # on twins of other micrographs, or by another version
    train(samples, settings, trained, on_progress=on_progress, initial=initial)
    adapted = trained / "adapted.safetensors"
    trained_card, weights = read_model(trained / MODEL_NAME)
    write_model(adapted, trained_card.model_copy(update={"confidence": card.confidence}), weights)

    # Compare the models
    spread = np.unique(np.linspace(0, len(micrographs) - 1, MOST_REPEATED).round().astype(int))
    some = [micrographs[index] for index in spread]
    f1_before, f1_after = (_scores(path, record, twins.held_out) for path in (initial, adapted))
    repeated = [_mean_repeatability(path, record, some) for path in (initial, adapted)]
    outcome = Adaptation(
        initial_sha256=file_sha256(initial),
        f1_before=f1_before,
        f1_after=f1_after,
        repeatability_before=repeated[0],
        repeatability_after=repeated[1],
    )
    write_text(folder / ADAPTATION, outcome.model_dump_json(indent=2) + "\n")
    part = folder / f"{MODEL_NAME}.part"
    shutil.copyfile(adapted if outcome.kept else initial, part)
    part.replace(folder / MODEL_NAME)
    return outcome


def refuse_other_model(folder: Path) -> None:
    """Refuse to replace a model that was not adapted.

    Parameters
    ----------
    folder : folder to write, which may be missing

    Raises
    ------
    InputError
        If it holds a model, but no record of an adaptation.
    """
    if (folder / MODEL_NAME).exists() and not (folder / ADAPTATION).exists():
        raise InputError(
            f"{folder / MODEL_NAME} was not written by 'adapt' and would be replaced; choose a new "
            "folder"
        )


def _of_model(record: SegmentationRecord, path: Path) -> SegmentationRecord:
    """Return the record of a label map as if another model had made it."""
    return record.model_copy(update={"model_sha256": file_sha256(path)})


def _scores(
    path: Path, record: SegmentationRecord, images: Sequence[LabeledImage]
) -> tuple[float, ...]:
    """Segment twins in the way of a record, and compute the F1 score of the particles in each."""
    find = segment_as_recorded(path, _of_model(record, path))
    return tuple(score_labels(find(image), labels).objects.f1 for image, labels, *_ in images)


def _mean_repeatability(
    path: Path, record: SegmentationRecord, micrographs: Sequence[Micrograph]
) -> float | None:
    """Segment the central parts of micrographs twice, and average the repeatability."""
    model = load_model(path)
    find = segment_as_recorded(path, _of_model(record, path))
    settings = {
        name: value for name, value in record.separation.items() if name in Separation.model_fields
    }
    separation = Separation.model_validate(settings)
    values = []
    for micrograph in micrographs:
        image = micrograph.image[checked_part(micrograph.image.shape)].copy()
        values.append(
            repeatability(
                *(model, image, micrograph.pixel_size_nm, find(image), separation),
                min_confidence=record.min_confidence,
            )
        )
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
