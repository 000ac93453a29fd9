"""Segmentation of micrographs by a model: label maps with a record of how they were made."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8, UInt16
from pydantic import ValidationError

from nanorender import __version__
from nanorender.errors import InputError, UnwritableError
from nanorender.execution.workers import run_tasks
from nanorender.files.checksums import file_sha256
from nanorender.files.collection import (
    Collection,
    Reading,
    is_read_from_bar,
    note_on_bars,
    read_scaled,
)
from nanorender.files.micrograph import Micrograph
from nanorender.files.scalebars.lettering import recognizes_text
from nanorender.files.scalebars.marks import read_marks, within_marks
from nanorender.files.segmentation import (
    SegmentationRecord,
    read_record,
    refuse_edited_map,
    refuse_foreign_maps,
    write_segmentation,
)
from nanorender.files.tiff import write_image
from nanorender.measuring.measure import measure
from nanorender.models import general_model
from nanorender.scoring.plausibility import doubts_in_words, raised_doubts
from nanorender.scoring.results import image_result
from nanorender.separation.separate import Separation
from unet.candidates import FoundParticles
from unet.checkpoint import ModelCard, model_file
from unet.data import SEARCH_ZOOMS
from unet.predict import Model, averaged_by_default, load_model, prepare_search
from unet.presets import TrainSettings
from unet.repeatability import checked_part, repeatability
from unet.windows import WHOLE_PX, WindowResult, segment_prepared


class PredictionSettings(NamedTuple):
    """Settings of the prediction.

    Attributes
    ----------
    averaged : whether to average over flips and zooms of the image, at about ten times the cost;
        None for yes, unless the model has no scale, to which it gives nothing
    keep_probability : whether to write the probability of the foreground
    min_confidence : confidence below which particles are discarded; None for that of the model
    """

    averaged: bool | None = None
    keep_probability: bool = False
    min_confidence: float | None = None


class SegmentationSettings(NamedTuple):
    """Settings that determine the label map of a micrograph.

    Attributes
    ----------
    model : model file
    model_sha256 : hash of the model file
    reading : how the micrograph is read
    separation : how particles are separated
    prediction : how the micrograph is predicted
    """

    model: Path
    model_sha256: str
    reading: Reading
    separation: Separation
    prediction: PredictionSettings


class _Notes(NamedTuple):
    """Remarks on the reading of a micrograph, whether its scale bar gave the pixel size, doubts."""

    lines: tuple[str, ...]
    scale_bar: bool
    doubts: tuple[int, ...] = ()


class SegmentationSummary(NamedTuple):
    """Outcome of the segmentation of a collection.

    Attributes
    ----------
    paths : label maps, including those that existed before
    notes : remarks on how micrographs were read, one line each
    doubts : what makes the new label maps doubtful, see `nanorender.scoring.plausibility`
    failures : one line for each micrograph that could not be segmented
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    failures: tuple[str, ...]


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

    Existing label maps made with the same settings from the same files are kept. Micrographs that
    cannot be read are reported, and the others are segmented.

    Parameters
    ----------
    model_path : run folder or model file
    micrographs : micrographs of a study
    separation : how particles are separated
    folder : folder to write, created if missing
    prediction : how micrographs are predicted
    scheduler : address of a Dask cluster that does the work and sees the same files
    on_progress : function called with the number of micrographs done, their total and the name of
        the one being segmented

    Returns
    -------
    summary : label maps, notes and failures

    Raises
    ------
    InputError
        If the model is not valid, or the folder cannot be written or holds other files of these
        names.
    """
    refuse_foreign_maps(folder, (path.stem for path in micrographs.paths))

    # Load the model once, so that an invalid one is refused before any work
    path = model_file(model_path).resolve()
    model_sha256 = file_sha256(path)
    model = _cached_model(path, model_sha256)
    reading = replace(micrographs.reading, scale_needed=model.card.pixel_sizes is not None)
    settings = SegmentationSettings(path, model_sha256, reading, separation, prediction)

    # Segment the micrographs, here or on the cluster
    notes: dict[Path, _Notes] = {}
    failures: dict[Path, str] = {}

    def on_part(name: str) -> None:
        on_progress(len(notes) + len(failures), len(micrographs), name)

    local = {} if scheduler else {"on_part": on_part}  # callbacks do not reach a cluster
    work = partial(_segment_micrograph, settings, folder.resolve(), **local)
    for path, outcome in run_tasks(work, micrographs.paths, 1, scheduler):
        if isinstance(outcome, str):
            failures[path] = outcome
        else:
            notes[path] = outcome
        on_part("")

    # Report in the order of the collection
    done = [path for path in micrographs.paths if path in notes]
    return SegmentationSummary(
        tuple(folder / f"{path.stem}.tif" for path in done),
        (
            *(f"{path.name}: {line}" for path in done for line in notes[path].lines),
            *note_on_bars(sum(notes[path].scale_bar for path in done)),
        ),
        tuple(doubts_in_words({path.stem: notes[path].doubts for path in done})),
        tuple(failures[path] for path in micrographs.paths if path in failures),
    )


def segment_image(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    pixel_size_nm: float | None = None,
    model: Model | None = None,
    averaged: bool | None = None,
    min_confidence: float | None = None,
    separation: Separation = Separation(),  # noqa: B008 (it cannot be changed)
) -> FoundParticles:
    """Find the particles in an image.

    Parameters
    ----------
    image : (h, w) gray values
    pixel_size_nm : pixel size in nm, None if unknown; the general model does not need it
    model : trained network, see `unet.predict.load_model`; None for the general model
    averaged : whether to average predictions over flips and zooms, at several times the cost; None
        for yes, unless the model has no scale
    min_confidence : confidence below which particles are discarded; None for that of the model
    separation : how particles are separated

    Returns
    -------
    particles : label map, and the confidence of each particle

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:128, :128]
    >>> disc = np.where(np.hypot(y - 64, x - 64) < 20, 200, 60).astype(np.uint8)
    >>> particles = segment_image(disc)
    >>> int(particles.labels.max())
    1
    """
    if model is None:
        path = general_model()
        model = _cached_model(path, file_sha256(path))
    prepared = prepare_search(model, image, pixel_size_nm)
    separation = compensate_erosion(separation, model.card.training)
    least = _min_confidence(model, min_confidence)
    average = averaged_by_default(model, averaged)
    found = segment_prepared(model, prepared, separation, average, False, least)
    return FoundParticles(found.labels, found.confidence)


class SegmentedMicrograph(NamedTuple):
    """Particles found in a micrograph, and how.

    Attributes
    ----------
    particles : label map, and the confidence of each particle
    record : model and settings, without the confidences
    usual_confidence : confidence below which the model discards particles unless asked otherwise
    """

    particles: FoundParticles
    record: SegmentationRecord
    usual_confidence: float


def segment_micrograph(
    micrograph: Micrograph, model_path: Path | None = None, min_confidence: float | None = None
) -> SegmentedMicrograph:
    """Find the particles in a micrograph as `segment` does, without writing a file.

    Parameters
    ----------
    micrograph : the micrograph
    model_path : run folder or model file; None for the general model
    min_confidence : confidence below which particles are discarded; None for that of the model

    Returns
    -------
    segmented : particles and record; `nanorender.files.segmentation.write_segmentation` writes both

    Raises
    ------
    InputError
        If the model is not valid, or needs a pixel size that the micrograph lacks.

    Examples
    --------
    >>> import numpy as np
    >>> from nanorender.files.micrograph import read_micrograph
    >>> path = getfixture("tmp_path") / "disc.tif"
    >>> y, x = np.mgrid[:128, :128]
    >>> write_image(path, np.where(np.hypot(y - 64, x - 64) < 20, 200, 60).astype(np.uint8), 2.0)
    >>> segmented = segment_micrograph(read_micrograph(path))
    >>> len(segmented.particles.confidence), segmented.record.pixel_size_nm
    (1, 2.0)
    """
    path = general_model() if model_path is None else model_file(model_path).resolve()
    model_sha256 = file_sha256(path)
    model = _cached_model(path, model_sha256)
    separation = compensate_erosion(Separation(), model.card.training)
    averaged = averaged_by_default(model, None)
    least = _min_confidence(model, min_confidence)
    record = _segmentation_record(micrograph, model, model_sha256, separation, averaged, least)
    prepared = prepare_search(model, micrograph.image, micrograph.pixel_size_nm)
    found = segment_prepared(model, prepared, separation, averaged, False, least)
    if record.marks_discarded:
        boxes = read_marks(micrograph.path).boxes
        found = found.without(within_marks(found.labels, boxes, micrograph.crop))
    usual = _min_confidence(model, None)
    return SegmentedMicrograph(FoundParticles(found.labels, found.confidence), record, usual)


def segment_as_recorded(
    model_path: Path, record: SegmentationRecord
) -> Callable[[UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]], Int32[np.ndarray, "h w"]]:
    """Return the function that segments images in the way of a label map.

    Parameters
    ----------
    model_path : run folder or model file
    record : record of the label map

    Returns
    -------
    function : gray image of the same pixel size to label map

    Raises
    ------
    InputError
        If the label map was made with another model, or its settings are not valid.
    """
    path = model_file(model_path).resolve()
    if file_sha256(path) != record.model_sha256:
        raise InputError(
            f"{record.image.name} was segmented with another model than {model_path}; give that "
            "one with --model"
        )
    model = _cached_model(path, record.model_sha256)
    settings = dict(record.separation)
    try:
        averaged = bool(settings.pop("averaged_over_flips_and_zooms"))
        separation = Separation.model_validate(settings)
    except (KeyError, ValidationError):
        raise InputError(
            f"the record of {record.image.name} has no valid settings of the separation; segment "
            "it again"
        ) from None

    def find(image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]) -> np.ndarray:
        prepared = prepare_search(model, image, record.pixel_size_nm)
        return segment_prepared(
            model, prepared, separation, averaged, False, record.min_confidence
        ).labels

    return find


def _min_confidence(model: Model, asked: float | None) -> float:
    """Return the least confidence of particles that are kept."""
    if asked is not None:
        return asked
    return 0.0 if model.card.confidence is None else model.card.confidence.threshold


def probability_path(label_path: Path) -> Path:
    """Path of the foreground probability that belongs to a label map.

    Parameters
    ----------
    label_path : path of the label map

    Returns
    -------
    path : path of the image of the probability
    """
    return label_path.parent / "probability" / label_path.name


def compensate_erosion(separation: Separation, training: TrainSettings) -> Separation:
    """Grow separated particles by the erosion of the training labels, unless growth is set.

    Parameters
    ----------
    separation : how particles are separated
    training : training settings of the model

    Returns
    -------
    separation : with the erosion of the training as growth

    Examples
    --------
    >>> from unet.presets import preset
    >>> compensate_erosion(Separation(), preset("paper")).grow_px
    2.0
    """
    if separation.grow_px > 0:
        return separation
    return separation.model_copy(update={"grow_px": training.erosion_px})


@lru_cache(maxsize=1)
def _cached_model(path: Path, _sha256: str) -> Model:
    """Load a model once per process while the content of its file stays the same."""
    return load_model(path)


def _segment_micrograph(
    settings: SegmentationSettings,
    folder: Path,
    path: Path,
    on_part: Callable[[str], None] = lambda name: None,
) -> _Notes | str:
    """Write the label map of one micrograph; return notes on its reading, or why it failed."""
    model = _cached_model(settings.model, settings.model_sha256)
    separation = compensate_erosion(settings.separation, model.card.training)
    _, keep_probability, asked = settings.prediction
    averaged = averaged_by_default(model, settings.prediction.averaged)
    min_confidence = _min_confidence(model, asked)
    try:
        # Read the micrograph; keep an existing label map made in the same way
        micrograph = read_scaled(path, settings.reading)
        record = _segmentation_record(
            micrograph, model, settings.model_sha256, separation, averaged, min_confidence
        )
        name = micrograph.name
        notes = _Notes(micrograph.notes, is_read_from_bar(micrograph))
        label_path = folder / f"{name}.tif"
        if _is_done(label_path, record, keep_probability):
            return notes
        refuse_edited_map(label_path)

        # Predict and separate; large images are released as soon as possible
        pixel_size_nm, crop = micrograph.pixel_size_nm, micrograph.crop
        prepared = prepare_search(model, micrograph.image, pixel_size_nm)
        part = checked_part(micrograph.image.shape)
        image_part = micrograph.image[part].copy()
        image = micrograph.image if max(micrograph.image.shape) <= WHOLE_PX else None
        del micrograph

        def on_window(part: int, parts: int) -> None:
            on_part(f"{name}, part {part + 1} of {parts}" if parts > 1 else name)

        found = segment_prepared(
            model, prepared, separation, averaged, keep_probability, min_confidence, on_window
        )
        del prepared
        labels_part = found.labels[part].copy()
        repeated = repeatability(
            model, image_part, pixel_size_nm, labels_part, separation, min_confidence
        )

        # Discard text and scale bars, then write probability and label map
        bar_nm = None
        if record.marks_discarded:
            marks = read_marks(path)
            bar_nm = marks.scale_bar and marks.scale_bar.pixel_size_nm
            found = found.without(within_marks(found.labels, marks.boxes, crop))
        if found.foreground is not None:
            probability = probability_path(label_path)
            probability.parent.mkdir(parents=True, exist_ok=True)
            write_image(probability, found.foreground, record.pixel_size_nm)
        confidence = tuple(round(float(value), 4) for value in found.confidence)
        complete = record.model_copy(
            update={
                "confidence": confidence,
                "repeatability": repeated,
                "scale_bar_pixel_size_nm": bar_nm,
            }
        )
        write_segmentation(folder, found.labels, complete)
        if image is not None:  # the report checks the others
            notes = notes._replace(doubts=_doubts(image, found, complete))
    except UnwritableError:
        raise
    except InputError as error:
        return str(error)
    return notes


def _doubts(
    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
    found: WindowResult,
    record: SegmentationRecord,
) -> tuple[int, ...]:
    """Return what makes a label map doubtful."""
    edge_nm, name = record.pixel_size_nm, record.image.stem
    table = measure(found.labels, edge_nm, image, confidence=found.confidence)
    result = image_result(name, image, found.labels, edge_nm, "", table, record=record)
    return tuple(raised_doubts(result))


def _is_done(path: Path, record: SegmentationRecord, keep_probability: bool) -> bool:
    """Whether label map and requested probability exist and were made in the same way."""
    if keep_probability and not probability_path(path).is_file():
        return False
    try:
        before = read_record(path) if path.is_file() else None
        return before is not None and before.is_of_same_settings(record)
    except InputError:  # a damaged record: the label map is made again
        return False


def _trained_diameters_px(
    card: ModelCard, pixel_size_nm: float | None
) -> tuple[float, float] | None:
    """Return the diameters of the particles that the model can know, in px of a micrograph."""
    trained, sizes = card.trained_diameters, card.pixel_sizes
    if trained is None:
        return None
    if sizes is None:
        return trained.lowest / max(SEARCH_ZOOMS), trained.highest / min(SEARCH_ZOOMS)
    edge_nm = sizes.median_nm if pixel_size_nm is None else pixel_size_nm
    return trained.lowest / edge_nm, trained.highest / edge_nm


def _segmentation_record(
    micrograph: Micrograph,
    model: Model,
    model_sha256: str,
    separation: Separation,
    averaged: bool,
    min_confidence: float,
) -> SegmentationRecord:
    """Build the record of a label map, without the confidences."""
    sizes = model.card.pixel_sizes
    return SegmentationRecord(
        image=micrograph.path.resolve(),
        image_sha256=file_sha256(micrograph.path),
        crop=micrograph.crop,
        pixel_size_nm=micrograph.pixel_size_nm,
        pixel_size_source=micrograph.pixel_size_source,
        model_sha256=model_sha256,
        training_pixel_sizes_nm=sizes and (sizes.lowest_nm, sizes.highest_nm),
        trained_diameters_px=_trained_diameters_px(model.card, micrograph.pixel_size_nm),
        relative_loss=model.card.relative_loss,
        epoch_agreement=model.card.epoch_agreement,
        separation={
            **separation.model_dump(mode="json"),
            "averaged_over_flips_and_zooms": averaged,
        },
        min_confidence=min_confidence,
        marks_discarded=recognizes_text(),
        version=__version__,
    )
