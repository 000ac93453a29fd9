"""Segmentation of micrographs: predicted by a model, separated, written with how it was done."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from nanorender import __version__
from nanorender.errors import InputError, UnwritableError
from nanorender.execution.workers import run_tasks
from nanorender.files.checksums import file_sha256
from nanorender.files.collection import Collection, Reading, read_scaled
from nanorender.files.micrograph import Micrograph
from nanorender.files.segmentation import SegmentationRecord, read_record, write_segmentation
from nanorender.files.tiff import write_image
from nanorender.separation.separate import Separation
from unet.checkpoint import model_file
from unet.predict import Model, load_model, prepare
from unet.presets import TrainSettings
from unet.windows import segment_prepared


class PredictionSettings(NamedTuple):
    """How micrographs are predicted.

    Attributes
    ----------
    averaged: whether over flips and zooms of the image, at about ten times the cost
    keep_probability: whether the foreground is written too, 255 for probability one
    """

    averaged: bool
    keep_probability: bool = False


class SegmentationSummary(NamedTuple):
    """What became of the micrographs of a collection.

    Attributes
    ----------
    paths: of the label maps, those that were there already among them
    notes: what the user should know about the reading, a line each
    failures: a line on each micrograph that could not be segmented
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]
    failures: tuple[str, ...]


class SegmentationSettings(NamedTuple):
    """All that a label map is made by, apart from its micrograph."""

    model: Path
    model_sha256: str
    reading: Reading
    separation: Separation
    prediction: PredictionSettings


def segment(
    model_path: Path,
    micrographs: Collection,
    separation: Separation,
    folder: Path,
    prediction: PredictionSettings,
    scheduler: str | None = None,
    on_progress: Callable[[int, int, str], None] = lambda done, total, more: None,
) -> SegmentationSummary:
    """Write the label map of each micrograph into a folder.

    Those already there, made in the same way from the same files, are left as they are. A
    micrograph that cannot be read costs itself only: of a night's work the rest is done.

    Parameters
    ----------
    model_path: a run folder or a model file
    separation: how particles are parted
    prediction: how they are predicted
    scheduler: address of a Dask cluster that does the work, on the same files
    on_progress: is called with how many micrographs are done, of how many, and a word on the one
        that is being done

    Raises
    ------
    InputError
        If the model does not fit, or the folder cannot be written.
    """
    path = model_file(model_path).resolve()
    settings = SegmentationSettings(
        path, file_sha256(path), micrographs.reading, separation, prediction
    )
    _model(path, settings.model_sha256)
    notes: dict[Path, tuple[str, ...]] = {}
    failures: dict[Path, str] = {}
    total = len(micrographs)

    def on_part(word: str) -> None:
        on_progress(len(notes) + len(failures), total, word)

    here = {} if scheduler else {"on_part": on_part}
    work = partial(segment_one, settings, folder.resolve(), **here)
    for path, outcome in run_tasks(work, micrographs.paths, 1, scheduler):
        if isinstance(outcome, str):
            failures[path] = outcome
        else:
            notes[path] = outcome
        on_part("")
    done = [path for path in micrographs.paths if path in notes]
    return SegmentationSummary(
        tuple(folder / f"{path.stem}.tif" for path in done),
        tuple(f"{path.name}: {note}" for path in done for note in notes[path]),
        tuple(failures[path] for path in micrographs.paths if path in failures),
    )


def segment_one(
    settings: SegmentationSettings,
    folder: Path,
    path: Path,
    on_part: Callable[[str], None] = lambda word: None,
) -> tuple[str, ...] | str:
    """Write the label map of one micrograph; return notes on its reading, or why there is none.

    Raises
    ------
    UnwritableError
        If the folder cannot be written.
    """
    model = _model(settings.model, settings.model_sha256)
    separation = grown_back(settings.separation, model.card.training)
    averaged, keep = settings.prediction
    try:
        micrograph = read_scaled(path, settings.reading)
        record = _record(micrograph, model, settings.model_sha256, separation, averaged)
        notes, written = micrograph.notes, folder / f"{micrograph.name}.tif"
        if _is_done(written, record, settings.prediction):
            return notes
        prepared = prepare(model, micrograph.image, micrograph.pixel_size_nm)
        doing = partial(_say_part, on_part, micrograph.name)
        del micrograph  # of large images it is half a gigabyte, as is what was prepared of it
        found = segment_prepared(model, prepared, separation, averaged, keep, doing)
        del prepared
        if found.foreground is not None:
            probability = probability_path(written)
            probability.parent.mkdir(parents=True, exist_ok=True)
            write_image(probability, found.foreground, record.pixel_size_nm)
        write_segmentation(folder, found.labels, record)
    except UnwritableError:
        raise
    except InputError as error:
        return str(error)
    return notes


@lru_cache(maxsize=1)
def _model(path: Path, _sha256: str) -> Model:
    """Return the model in a file, loaded once a process as long as its content is the same."""
    return load_model(path)


def probability_path(label_path: Path) -> Path:
    """Return where the probability of the foreground is kept, beside the folder's label maps."""
    return label_path.parent / "probability" / label_path.name


def _is_done(path: Path, record: SegmentationRecord, prediction: PredictionSettings) -> bool:
    """Return whether a label map, and the probability if asked for, were made in the same way."""
    kept = not prediction.keep_probability or probability_path(path).is_file()
    try:
        return kept and path.is_file() and read_record(path) == record
    except InputError:  # a damaged record: the map is made again
        return False


def _say_part(on_part: Callable[[str], None], name: str, part: int, parts: int) -> None:
    """Say which micrograph is being done, and how far it is if it has several parts."""
    on_part(f"{name}, part {part + 1} of {parts}" if parts > 1 else name)


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
        separation={
            **separation.model_dump(mode="json"),
            "averaged_over_flips_and_zooms": averaged,
        },
        version=__version__,
    )
