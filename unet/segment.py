"""Segmentation of micrographs: predicted by a model, separated, written with how it was done."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nanorender import __version__
from nanorender.analysis.separate import Separation
from nanorender.collection import Collection
from nanorender.micrograph import Micrograph, write_image
from nanorender.segmentation import (
    SegmentationRecord,
    file_sha256,
    read_record,
    write_segmentation,
)
from unet.checkpoint import model_file
from unet.predict import Model, load_model, prepare
from unet.presets import TrainSettings
from unet.windows import segment_prepared


class Prediction(NamedTuple):
    """How micrographs are predicted.

    Attributes
    ----------
    averaged: whether over the flips of the image, at four times the cost
    keep_probability: whether the foreground is written too, 255 for probability one
    """

    averaged: bool
    keep_probability: bool = False


def segment(
    model_path: Path,
    micrographs: Collection,
    separation: Separation,
    folder: Path,
    prediction: Prediction,
    on_progress: Callable[[int, int, str], None] = lambda done, total, more: None,
) -> list[Path]:
    """Write the label map of each micrograph into a folder; return their paths.

    Those already there, made in the same way from the same files, are left as they are.

    Parameters
    ----------
    model_path: a run folder or a model file
    separation: how particles are parted
    prediction: how they are predicted
    on_progress: is called with how many micrographs are done, of how many, and a word on the one
        that is being done

    Raises
    ------
    InputError
        If the model does not fit, or a file cannot be read or written.
    """
    model = load_model(model_path)
    separation = grown_back(separation, model.card.training)
    model_sha256 = file_sha256(model_file(model_path))
    paths = []
    for done, micrograph in enumerate(micrographs):
        record = _record(micrograph, model, model_sha256, separation, prediction.averaged)
        path = folder / f"{micrograph.name}.tif"
        paths.append(path)
        if _is_done(path, record, prediction):
            on_progress(done + 1, len(micrographs), "")
            continue
        prepared = prepare(model, micrograph.image, micrograph.pixel_size_nm)
        doing = partial(_say_part, on_progress, done, len(micrographs), micrograph.name)
        del micrograph  # of large images, half a gigabyte
        keep = prediction.keep_probability
        found = segment_prepared(model, prepared, separation, prediction.averaged, keep, doing)
        if found.foreground is not None:
            probability = probability_path(path)
            probability.parent.mkdir(parents=True, exist_ok=True)
            write_image(probability, found.foreground, record.pixel_size_nm)
        write_segmentation(folder, found.labels, record)
    on_progress(len(micrographs), len(micrographs), "")
    return paths


def probability_path(label_path: Path) -> Path:
    """Return where the probability of the foreground is kept, beside the folder's label maps."""
    return label_path.parent / "probability" / label_path.name


def _is_done(path: Path, record: SegmentationRecord, prediction: Prediction) -> bool:
    """Return whether a label map, and the probability if asked for, were made in the same way."""
    kept = not prediction.keep_probability or probability_path(path).is_file()
    return kept and path.is_file() and read_record(path) == record


def _say_part(
    on_progress: Callable[[int, int, str], None],
    done: int,
    total: int,
    name: str,
    part: int,
    parts: int,
) -> None:
    """Say which micrograph is being done, and how far it is if it has several parts."""
    on_progress(done, total, f"{name}, part {part + 1} of {parts}" if parts > 1 else name)


def grown_back(separation: Separation, training: TrainSettings) -> Separation:
    """Return the separation that widens particles by what labels were eroded by in training."""
    if separation.grow_px > 0:
        return separation
    return separation.model_copy(update={"grow_px": training.erosion_px})


def _record(
    micrograph: Micrograph,
    model: Model,
    model_sha256: str,
    separation: Separation,
    averaged: bool,
) -> SegmentationRecord:
    """Return what is going to be said about a micrograph's label map."""
    sizes = model.card.pixel_sizes
    return SegmentationRecord(
        image=micrograph.path.resolve(),
        image_sha256=file_sha256(micrograph.path),
        crop=micrograph.crop,
        pixel_size_nm=micrograph.pixel_size_nm,
        pixel_size_source=micrograph.pixel_size_source,
        model_sha256=model_sha256,
        training_pixel_sizes_nm=(sizes.lowest_nm, sizes.highest_nm),
        least_trained_nm=model.card.least_trained_nm,
        separation={**separation.model_dump(mode="json"), "averaged_over_flips": averaged},
        version=__version__,
    )
