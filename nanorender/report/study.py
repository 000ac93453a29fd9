"""The report on a folder of label maps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from nanorender.files.segmentation import find_label_maps, read_record
from nanorender.report.page import Provenance
from nanorender.report.report import report
from nanorender.scoring.results import ImageResult, particle_table
from nanorender.statistics.groups import samples_by_name, summarize_groups
from nanorender.statistics.sampling import FieldOfView, SizeFloor, size_floor
from nanorender.statistics.summary import Statistics


class Heading(NamedTuple):
    """What a report is called, the command that made it, and how images make samples.

    samples: regular expression that finds the sample in an image's name; None for no samples
    """

    title: str
    command: str
    samples: str | None = None


def write_report(
    labels: Path,
    results: Sequence[ImageResult],
    folder: Path,
    heading: Heading,
    settings: Statistics,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the report on a folder of label maps; return the path of its page.

    Parameters
    ----------
    labels : the folder, whose records say how the maps were made
    results : what `read_results` returned for it
    folder : of the report
    heading : title of the page and the command that made it
    settings : the size that is reported, weighting, frame correction, intervals
    on_progress : is called with how many images are drawn, and of how many

    Raises
    ------
    InputError
        If the folder holds other files or cannot be written.
    """
    fields = [
        FieldOfView(result.name, result.image.shape[1], result.image.shape[0], result.pixel_size_nm)
        for result in results
    ]
    table = particle_table(results)
    names = [result.name for result in results]
    sample_of = {} if heading.samples is None else samples_by_name(names, heading.samples)
    groups = summarize_groups(table, fields, sample_of, settings, _floor(labels))
    parameters = _separation(labels) | {"statistics": settings.model_dump(mode="json")}
    provenance = Provenance(heading.title, heading.command, parameters)
    return report(folder, results, groups, provenance, on_progress)


def _floor(labels: Path) -> SizeFloor | None:
    """Return the size under which nothing could be seen, the largest of a folder's label maps.

    None where the maps come from elsewhere, so that nobody knows how they were made.
    """
    records = [read_record(path) for path in find_label_maps(labels)]
    floors = [
        size_floor(
            record.pixel_size_nm,
            int(record.separation.get("area_opening_px", 0)),
            float(record.separation.get("grow_px", 0.0)),
            record.least_trained_nm,
        )
        for record in records
        if record is not None
    ]
    return max(floors, key=lambda floor: floor.value, default=None)


def _separation(labels: Path) -> dict[str, object]:
    """Return how the label maps of a folder were made; empty if they come from elsewhere."""
    record = read_record(find_label_maps(labels)[0])
    if record is None:
        return {}
    return {
        "separation": record.separation,
        "model_sha256": record.model_sha256,
        "training_pixel_sizes_nm": record.training_pixel_sizes_nm,
    }
