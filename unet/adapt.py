"""Adaptation of a model to a study: trained further on twins of its micrographs, kept if better.

Twins are synthetic images like the micrographs, with exact labels. Whether the adapted model is
better is decided on other twins, since the micrographs have no truth; on the micrographs, it must
not be far less repeatable.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field
from scipy.stats import t as student

from nanorender.errors import InputError
from nanorender.files.atomic import write_bytes, write_text
from nanorender.files.checksums import file_sha256
from nanorender.files.labeled import LabeledImage
from nanorender.files.micrograph import Micrograph
from nanorender.files.segmentation import SegmentationRecord
from nanorender.provenance.record import RECORD_NAME
from nanorender.scoring.plausibility import LARGEST_RELATIVE_LOSS
from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation
from nanorender.settings import Fraction, Settings, read_text
from unet.checkpoint import MODEL_NAME, read_card, read_model, write_model
from unet.data import samples_of_any_size
from unet.predict import load_model
from unet.presets import PRESETS, TrainSettings
from unet.repeatability import checked_part, repeatability
from unet.run_folder import RUN_NAME
from unet.segment import segment_as_recorded
from unet.train import TrainingProgress, is_training_of, train

ADAPTATION = "adaptation.json"
"""Name of the record in the folder of an adapted model."""

TRAINING = "training"
"""Name of the folder of its training, inside of it."""

LARGEST_CHANCE = 0.05
"""Probability that a model which is no better on twins is kept."""

LARGEST_LOSS_OF_REPEATABILITY = 0.05
"""Decrease of the mean repeatability from which an adapted model is not kept."""

OUTPUTS = {MODEL_NAME, ADAPTATION, TRAINING, "labels", "twins", RECORD_NAME}
"""What the folder of an adapted model holds."""

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
    model_sha256: str
    """SHA-256 of the file of the model that was kept."""

    @property
    def kept(self) -> bool:
        """Whether the adapted model is kept, see `is_better`."""
        return self.model_sha256 != self.initial_sha256

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


def is_better(
    f1_before: Sequence[float],
    f1_after: Sequence[float],
    repeatability_before: float | None = None,
    repeatability_after: float | None = None,
) -> bool:
    """Decide whether an adapted model is better.

    The gain on twins must be more than chance explains (Student's t-test of the differences, one
    side, 5 %), and the repeatability on micrographs must not be far lower.

    Parameters
    ----------
    f1_before, f1_after : F1 scores of the same twins by both models
    repeatability_before, repeatability_after : means of micrographs; None with too few particles

    Returns
    -------
    Whether it is.

    Examples
    --------
    >>> is_better([0.8, 0.7, 0.9], [0.82, 0.73, 0.91])
    True
    >>> is_better([0.8, 0.7, 0.9], [0.9, 0.6, 0.91])
    False
    """
    gains = np.subtract(f1_after, f1_before)
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    if gains.mean() <= error * student.ppf(1 - LARGEST_CHANCE, len(gains) - 1):
        return False
    if repeatability_before is None:
        return True
    return repeatability_before - (repeatability_after or 0.0) < LARGEST_LOSS_OF_REPEATABILITY


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
    settings = PRESETS["adapt"]
    coarsest_px = initial.architecture.coarsest_px
    patch_px = -(-settings.patch_px // coarsest_px) * coarsest_px
    return settings.model_copy(update={**same, "patch_px": patch_px, "seed": seed})


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
        If the twins are unlike the micrographs, or as `check_adaptable`.
    KeyboardInterrupt
        After SIGINT or SIGTERM, when the training is written.
    """
    check_adaptable(initial, folder)
    loss = twins.relative_loss
    if loss is not None and loss > LARGEST_RELATIVE_LOSS:
        raise InputError(
            f"the twins differ from the micrographs by {loss:.1f} noise floors, more than "
            f"{LARGEST_RELATIVE_LOSS:g}, so the model is not adapted; choose a recipe that is more "
            "like the sample, or use the model as it is"
        )

    # Train on the twins; confidences are computed as before
    card = read_card(initial)
    settings = adaptation_settings(card.training, seed)
    samples = samples_of_any_size(twins.learned, twins.learned_count, settings)
    samples = samples._replace(relative_loss=twins.relative_loss)
    trained = folder / TRAINING
    if (trained / RUN_NAME).is_file() and not is_training_of(trained, samples, settings, initial):
        shutil.rmtree(trained)  # on twins of other micrographs, or by another version
    train(samples, settings, trained, on_progress=on_progress, initial=initial)
    adapted = trained / "adapted.safetensors"
    trained_card, weights = read_model(trained / MODEL_NAME)
    write_model(adapted, trained_card.model_copy(update={"confidence": card.confidence}), weights)

    # Compare the models
    spread = np.unique(np.linspace(0, len(micrographs) - 1, MOST_REPEATED).round().astype(int))
    some = [micrographs[index] for index in spread]
    f1_before, f1_after = (_scores(path, record, twins.held_out) for path in (initial, adapted))
    repeated_before, repeated_after = _mean_repeatabilities((initial, adapted), record, some)
    better = is_better(f1_before, f1_after, repeated_before, repeated_after)
    kept = (adapted if better else initial).read_bytes()
    outcome = Adaptation(
        initial_sha256=file_sha256(initial),
        f1_before=f1_before,
        f1_after=f1_after,
        repeatability_before=repeated_before,
        repeatability_after=repeated_after,
        model_sha256=hashlib.sha256(kept).hexdigest(),
    )
    # Interrupted here, the folder holds no model rather than one of another record
    (folder / MODEL_NAME).unlink(missing_ok=True)
    write_text(folder / ADAPTATION, outcome.model_dump_json(indent=2) + "\n")
    write_bytes(folder / MODEL_NAME, kept)
    return outcome


def check_adaptable(initial: Path, folder: Path) -> None:
    """Refuse models that cannot be adapted, and folders that hold anything else.

    Parameters
    ----------
    initial : file of the model
    folder : folder to write, which may be missing

    Raises
    ------
    InputError
        If the model is one for a single pixel size, or a file in the folder is not of an
        adaptation.
    """
    if read_card(initial).pixel_sizes is not None:
        raise InputError(
            f"{initial} was trained at the scale of one recipe; adapt the general model, or train "
            "on a recipe like the sample"
        )
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if others := names - OUTPUTS:
        raise InputError(
            f"{folder} contains {min(others)}, which 'adapt' has not written; choose a new folder"
        )
    model = folder / MODEL_NAME
    if model.exists():
        try:
            written = Adaptation.model_validate_json(read_text(folder / ADAPTATION)).model_sha256
        except ValueError:  # missing, or not valid
            written = None
        if written != file_sha256(model):
            raise InputError(
                f"{model} was not written by 'adapt' and would be replaced; choose a new folder"
            )
        if model.resolve() == initial.resolve():
            raise InputError(f"{model} is itself to be adapted; choose a new folder")


def _of_model(record: SegmentationRecord, path: Path) -> SegmentationRecord:
    """Return the record of a label map as if another model had made it."""
    return record.model_copy(update={"model_sha256": file_sha256(path)})


def _scores(
    path: Path, record: SegmentationRecord, images: Sequence[LabeledImage]
) -> tuple[float, ...]:
    """Segment twins in the way of a record, and compute the F1 score of the particles in each."""
    find = segment_as_recorded(path, _of_model(record, path))
    return tuple(score_labels(find(image), labels).objects.f1 for image, labels, *_ in images)


def _mean_repeatabilities(
    models: Sequence[Path], record: SegmentationRecord, micrographs: Sequence[Micrograph]
) -> tuple[float | None, float | None]:
    """Average the repeatability of two models over the micrographs that have one by the first.

    Where the second model finds too few particles, its repeatability is 0.
    """
    before, after = (_repeatabilities(path, record, micrographs) for path in models)
    pairs = [(b, a or 0.0) for b, a in zip(before, after, strict=True) if b is not None]
    if not pairs:
        return None, None
    first, second = np.mean(pairs, axis=0).tolist()
    return first, second


def _repeatabilities(
    path: Path, record: SegmentationRecord, micrographs: Sequence[Micrograph]
) -> list[float | None]:
    """Segment the central parts of micrographs twice, and compare."""
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
    return values
