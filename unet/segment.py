"""Segmentation of micrographs: predicted by a model, separated, written with how it was done."""

from collections.abc import Callable
from pathlib import Path

from nanorender import __version__
from nanorender.analysis.separate import Separation, separate
from nanorender.collection import Collection
from nanorender.micrograph import Micrograph
from nanorender.segmentation import (
    SegmentationRecord,
    file_sha256,
    read_record,
    write_segmentation,
)
from unet.predict import Model, load_model, predict, predict_averaged
from unet.presets import TrainSettings


def segment(
    model_path: Path,
    micrographs: Collection,
    separation: Separation,
    folder: Path,
    averaged: bool,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write the label map of each micrograph into a folder; return their paths.

    Those already there, made in the same way from the same files, are left as they are.

    Parameters
    ----------
    model_path: a run folder or a model file
    separation: how particles are parted
    averaged: whether predictions are averaged over the flips of the image, at four times the cost
    on_progress: is called with how many micrographs are done, and of how many

    Raises
    ------
    InputError
        If the model does not fit, or a file cannot be read or written.
    """
    model = load_model(model_path)
    separation = grown_back(separation, model.card.training)
    model_file = model_path / "model.safetensors" if model_path.is_dir() else model_path
    model_sha256 = file_sha256(model_file)
    paths = []
    for done, micrograph in enumerate(micrographs):
        on_progress(done, len(micrographs))
        record = _record(micrograph, model, model_sha256, separation, averaged)
        path = folder / f"{micrograph.name}.tif"
        if not path.is_file() or read_record(path) != record:
            maps = (predict_averaged if averaged else predict)(
                model, micrograph.image, micrograph.pixel_size_nm
            )
            write_segmentation(folder, separate(maps, separation), record)
        paths.append(path)
    on_progress(len(micrographs), len(micrographs))
    return paths


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
