"""Reports on folders of label maps, with statistics and provenance."""

from collections.abc import Callable, Sequence
from pathlib import Path

from nanorender.errors import InputError
from nanorender.files.segmentation import find_label_maps, read_record
from nanorender.report.corrected import corrected_section
from nanorender.report.page import Provenance
from nanorender.report.report import report
from nanorender.scoring.results import ImageResult, particle_table
from nanorender.statistics.groups import samples_by_name, summarize_groups
from nanorender.statistics.sampling import FieldOfView, SizeFloor, size_floor
from nanorender.statistics.summary import Statistics, summarized_columns


def write_report(
    labels: Path,
    results: Sequence[ImageResult],
    folder: Path,
    settings: Statistics,
    title: str,
    command: str,
    samples: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    twins: Path | None = None,
) -> Path:
    """Summarize the particles of a folder of label maps and write the report.

    Parameters
    ----------
    labels : folder of label maps, with the records of how they were made
    results : what `read_results` returned for it
    folder : of the report
    settings : quantity, weighting, frame correction, intervals
    title : heading of the page
    command : command line to show on the page
    samples : regular expression that finds the sample in an image's name; None for no samples
    on_progress : called with the number of images drawn and their total
    twins : folder of twins, to correct the sizes by

    Returns
    -------
    path of the page

    Raises
    ------
    InputError
        If the pattern does not match, the pixel size of some images only is known, or the folder
        holds other files or cannot be written.
    """
    _check_units(results)
    fields = []
    for result in results:
        height, width = result.shape
        fields.append(FieldOfView(result.name, width, height, result.pixel_size_nm))
    names = [result.name for result in results]
    sample_of = {} if samples is None else samples_by_name(names, samples)
    table = particle_table(results, summarized_columns(settings))  # others would fill the memory
    groups = summarize_groups(table, fields, sample_of, settings, _floor(labels))
    parameters = _separation(labels) | {"statistics": settings.model_dump(mode="json")}
    provenance = Provenance(title, command, parameters)
    corrected = None if twins is None else corrected_section(twins, results, settings)
    return report(folder, results, groups, provenance, on_progress, corrected)


def _check_units(results: Sequence[ImageResult]) -> None:
    """Raise InputError where lengths are in nm in some images and in pixels in others."""
    unknown = [result.name for result in results if result.pixel_size_nm is None]
    if unknown and len(unknown) < len(results):
        raise InputError(
            f"the pixel size of {len(unknown)} of {len(results)} images is unknown ({unknown[0]}, "
            "for example), so their sizes have another unit than the others: segment the images "
            "with --pixel-size-nm, or with --pixels for all sizes in pixels"
        )


def _floor(labels: Path) -> SizeFloor | None:
    """Find the largest of the label maps' size floors; None if none has a record."""
    records = (read_record(path) for path in find_label_maps(labels))
    floors = (
        size_floor(
            record.pixel_size_nm,
            int(record.separation.get("area_opening_px", 0)),
            float(record.separation.get("grow_px", 0.0)),
            None if record.trained_diameters_px is None else record.trained_diameters_px[0],
        )
        for record in records
        if record is not None
    )
    return max(floors, key=lambda floor: floor.value, default=None)


def _separation(labels: Path) -> dict[str, object]:
    """Read how the first label map was made; empty if it has no record."""
    record = read_record(find_label_maps(labels)[0])
    if record is None:
        return {}
    return {
        "separation": record.separation,
        "min_confidence": record.min_confidence,
        "model_sha256": record.model_sha256,
        "training_pixel_sizes_nm": record.training_pixel_sizes_nm,
    }
