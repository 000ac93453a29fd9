"""Baseline for synthetic training: networks trained on annotated micrographs.

Each of a few annotated micrographs is left out once: a network is trained on the others, the epoch
with the least error on the one left out is selected and segments it (Mill et al., 2021).
The epoch is thus selected by the annotation that it is scored on, which favors the baseline.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.collection import Collection
from nanorender.files.tiff import read_labels
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
    """Scores on a micrograph of a network trained on the others.

    Attributes
    ----------
    image : name of the micrograph left out
    epoch : epoch selected
    precision, recall, accuracy, f1 : scores of its pixels
    object_f1 : F1 score of its particles at IoU 0.5
    found, true : number of particles found and annotated
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
    """Train without each micrograph in turn and score the network on it.

    The folder then contains runs/<image>, labels/<image>.tif and baseline.csv. An interrupted run
    is resumed.

    Parameters
    ----------
    micrographs : micrographs with their annotations
    settings : training settings
    folder : folder to write
    on_progress : function called after each step with the name of the image left out

    Returns
    -------
    folds : scores of each micrograph

    Raises
    ------
    InputError
        If there are fewer than two micrographs, or they are not annotated.
    """
    if len(micrographs) < 2:
        raise InputError(
            f"leave-one-out needs at least 2 annotated micrographs, got {len(micrographs)}; "
            "annotate more"
        )
    folds = []
    for index, path in enumerate(micrographs.paths):
        # Train on the other micrographs
        left_out = _subset(micrographs, [index])
        others = _subset(micrographs, [i for i in range(len(micrographs)) if i != index])
        run = folder / "runs" / path.stem
        validation = validation_images(left_out)
        samples = load_annotated(others, settings)

        def on_step(progress: TrainingProgress, image: str = path.stem) -> None:
            on_progress(image, progress)

        train(samples, settings, run, validation, on_step)

        # Segment and score the one left out by the best epoch
        epoch = rank_by_truth(run, validation, "error")[0].epoch
        select_epoch(run, epoch)
        once = PredictionSettings(averaged=False)
        segmented = segment(run, left_out, Separation(), folder / "labels", once)
        if segmented.failures:
            raise InputError(segmented.failures[0])
        folds.append(_fold(left_out, segmented.paths[0], epoch))
    write_text(
        folder / "baseline.csv", pd.DataFrame(folds).to_csv(index=False, lineterminator="\n")
    )
    return folds


def format_folds(folds: Sequence[Fold]) -> str:
    """Format the scores as a table that ends with mean scores and total numbers of particles.

    Parameters
    ----------
    folds : scores of each micrograph

    Returns
    -------
    table : lines of text

    Examples
    --------
    >>> print(format_folds([Fold("a", 3, 0.5, 0.5, 0.5, 0.5, 0.5, 10, 12)]))
        image epoch  precision  recall  accuracy    f1  object_f1  found  true
            a     3      0.500   0.500     0.500 0.500      0.500     10    12
    mean, sum            0.500   0.500     0.500 0.500      0.500     10    12
    """
    table = pd.DataFrame(folds)
    means = table.loc[:, "precision":"object_f1"].mean()
    totals = {"found": table["found"].sum(), "true": table["true"].sum()}
    last = pd.DataFrame([{"image": "mean, sum", "epoch": "", **means, **totals}])
    return pd.concat([table, last]).to_string(index=False, float_format="{:.3f}".format)


def _subset(micrographs: Collection, indices: Sequence[int]) -> Collection:
    """Select some of the micrographs."""
    sizes = micrographs.pixel_sizes_nm
    return replace(
        micrographs,
        paths=tuple(micrographs.paths[index] for index in indices),
        pixel_sizes_nm=tuple(sizes[index] for index in indices if sizes),
    )


def _fold(left_out: Collection, labels: Path, epoch: int) -> Fold:
    """Score a label map against the annotation of its micrograph."""
    (micrograph,) = left_out
    truth = left_out.truth(micrograph)
    if truth is None:
        raise InputError(f"{micrograph.path} is not annotated")
    found, _ = read_labels(labels)
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
