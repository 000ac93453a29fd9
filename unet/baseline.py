"""The baseline that synthetic training is compared with: networks of annotated micrographs.

Of a few annotated micrographs each is left out once: a network is trained on the others, its epoch
of least error on the one left out is taken, and the one left out is segmented (Mill et al., 2021).
That epoch was chosen with the truth of the very image it is scored on, which favours the baseline.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.collection import Collection
from nanorender.files.segmentation import read_label_map
from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import Separation
from unet.annotated import load_annotated
from unet.presets import TrainSettings
from unet.segment import PredictionSettings, segment
from unet.select import rank_by_truth, select_epoch
from unet.train import TrainingProgress, train
from unet.validation import validation_images


@dataclass(frozen=True)
class Fold:
    """How the network that never saw a micrograph did on it.

    Attributes
    ----------
    image: the one left out
    epoch: that was best on it
    precision, recall, accuracy, f1: of its pixels
    object_f1: of its particles, at IoU 0.5
    found, true: how many particles
    """

    image: str
    epoch: int
    precision: float
    recall: float
    accuracy: float
    f1: float
    object_f1: float
    found: int
    true: int


def leave_one_out(
    micrographs: Collection,
    settings: TrainSettings,
    folder: Path,
    on_progress: Callable[[str, TrainingProgress], None] = lambda image, progress: None,
) -> list[Fold]:
    """Train without each micrograph in turn and return how the networks did on it.

    The folder then holds runs/<image>, labels/<image>.tif and baseline.csv; started again, it goes
    on where it was.

    Raises
    ------
    InputError
        If there are fewer than two micrographs, or they are not annotated.
    """
    if len(micrographs) < 2:
        raise InputError(
            f"{len(micrographs)} annotated micrograph is too few: one is left out, others are "
            "learnt from"
        )
    folds = []
    for index, path in enumerate(micrographs.paths):
        left_out = _part(micrographs, [index])
        others = _part(micrographs, [i for i in range(len(micrographs)) if i != index])
        run = folder / "runs" / path.stem
        validation = validation_images(left_out)
        samples = load_annotated(others, settings)

        def say(progress: TrainingProgress, image: str = path.stem) -> None:
            on_progress(image, progress)

        train(samples, settings, run, validation, say)
        epoch = rank_by_truth(run, validation, "error")[0].epoch
        select_epoch(run, epoch)
        once = PredictionSettings(averaged=False)
        segmented = segment(run, left_out, Separation(), folder / "labels", once)
        if segmented.failures:
            raise InputError(segmented.failures[0])
        folds.append(_fold(left_out, segmented.paths[0], epoch))
    text = "\n".join([",".join(_COLUMNS), *(",".join(map(str, _values(fold))) for fold in folds)])
    write_text(folder / "baseline.csv", text + "\n")
    return folds


def table(folds: Sequence[Fold]) -> str:
    """Return the folds and their mean as a table of text; particles are added up."""
    rows = [[_shown(value) for value in _values(fold)] for fold in folds]
    means = [float(np.mean([getattr(fold, name) for fold in folds])) for name in _COLUMNS[2:-2]]
    totals = [sum(getattr(fold, name) for fold in folds) for name in _COLUMNS[-2:]]
    rows.append(["mean, sum", "", *map(_shown, means), *map(_shown, totals)])
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (_COLUMNS, *rows)
    )


_COLUMNS = tuple(field.name for field in fields(Fold))


def _values(fold: Fold) -> list[str | int | float]:
    return list(asdict(fold).values())


def _shown(value: str | int | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _part(micrographs: Collection, indices: Sequence[int]) -> Collection:
    """Return some of the micrographs."""
    sizes = micrographs.pixel_sizes_nm
    return replace(
        micrographs,
        paths=tuple(micrographs.paths[index] for index in indices),
        pixel_sizes_nm=tuple(sizes[index] for index in indices if sizes),
    )


def _fold(left_out: Collection, labels: Path, epoch: int) -> Fold:
    """Return how a label map agrees with the annotation of its micrograph."""
    (micrograph,) = left_out
    truth = left_out.truth(micrograph)
    if truth is None:
        raise InputError(f"{micrograph.path} is not annotated")
    found, _ = read_label_map(labels)
    scores = score_labels(found, truth)
    pixels, objects = scores.pixels, scores.objects
    return Fold(
        image=micrograph.name,
        epoch=epoch,
        precision=pixels.precision,
        recall=pixels.recall,
        accuracy=pixels.accuracy,
        f1=pixels.f1,
        object_f1=objects.f1,
        found=objects.n_predicted,
        true=objects.n_truth,
    )
