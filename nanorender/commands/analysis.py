"""Commands of the analysis: measure, report, evaluate."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from nanorender.commands.collisions import (
    Reads,
    WritesFile,
    WritesFolder,
    refuse_collisions,
)
from nanorender.commands.options import (
    CORES,
    AsJson,
    ChoiceFile,
    OutFolder,
    PixelSizeUncertainty,
    Scheduler,
    Truth,
    Workers,
    note,
    report_failures,
)
from nanorender.commands.progress import progress
from nanorender.errors import InputError
from nanorender.measuring.sizes import SizeName
from nanorender.provenance.record import recorded
from nanorender.statistics.frame import FrameRuleName

app = typer.Typer()
PANEL = "Measure"
Binary = Annotated[
    bool,
    typer.Option("--binary", help="The files are masks; each 4-connected region is a particle."),
]


@app.command(rich_help_panel=PANEL)
@refuse_collisions
def measure(
    labels: Annotated[
        Path,
        typer.Argument(
            help="Folder of label maps; with --rois also one label map, or micrographs."
        ),
        Reads(),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Output file, .csv, .parquet or .xlsx."),
        WritesFile(),
    ] = Path("particles.csv"),
    workers: Workers = CORES,
    scheduler: Scheduler = None,
    binary: Binary = False,
    rois: Annotated[
        Path | None,
        typer.Option(
            help="Outlines edited or drawn by hand, which replace the particles: ImageJ ROI set "
            "(.zip, .roi), labelme or COCO file (.json), or a folder of files named as the images."
        ),
        Reads(),
    ] = None,
    corrected: Annotated[
        Path | None,
        typer.Option(help="New folder for the label maps of these outlines, for 'report'."),
        WritesFolder(),
    ] = None,
    choice: ChoiceFile = None,
    pixel_size_uncertainty: PixelSizeUncertainty = None,
) -> None:
    """Measure every particle of a folder of label maps: one row each, in nm.

    With --rois, outlines corrected by hand are measured, for example the ROI sets of a report after
    corrections in Fiji. With --choice, a column marks the particles struck out on its page.

    Example: nanorender measure labels --rois edited -o particles.csv
    """
    from nanorender.files.particlechoice import read_particle_choice
    from nanorender.files.segmentation import read_mask, read_segmented
    from nanorender.measuring.table import check_table_name, tabulate

    if binary and rois is not None:
        raise InputError("--binary and --rois exclude each other; give one of them")
    if corrected is not None and rois is None:
        raise InputError("--corrected needs --rois; give the outlines")
    check_table_name(out)
    chosen = None if choice is None else read_particle_choice(choice)
    with ExitStack() as stack:
        failures, images = (), 0
        if rois is not None:
            drawn = stack.enter_context(_drawn_labels(labels, rois, corrected, out))
            labels, failures, images = drawn
        show = stack.enter_context(progress("measuring"))
        tabulated = tabulate(
            labels,
            out,
            workers,
            scheduler,
            show,
            read_mask if binary else read_segmented,
            chosen,
            pixel_size_uncertainty,
        )
        _note_other_images(labels)
    total = max(tabulated.maps, images)
    report_failures((*failures, *tabulated.failures), total, "label maps")
    print(out)


def _note_other_images(labels: Path) -> None:
    """Print which images in a folder of label maps are not read."""
    from nanorender.files.segmentation import other_images

    if others := other_images(labels):
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        note(f"images left out, since label maps are TIFF files (*.tif): {len(others)} ({shown})")


@contextmanager
def _drawn_labels(
    images: Path, rois: Path, corrected: Path | None, out: Path
) -> Iterator[tuple[Path, tuple[str, ...], int]]:
    """Write label maps of outlines, print the changes, and yield folder, failures and number.

    Unless the folder is to be kept, it lies beside the table, where workers of a cluster find it.
    """
    from tempfile import TemporaryDirectory

    from nanorender.files.atomic import atomic_folder
    from nanorender.files.corrections import correct_label_maps

    if corrected is not None and corrected.exists():
        raise InputError(f"{corrected} already exists; give a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{out.name}.", dir=out.parent) as temporary:
        folder = corrected or Path(temporary) / "labels"
        with atomic_folder(folder) as part, progress("drawing outlines") as show:
            summary = correct_label_maps(images, rois, part, show)
            if not summary.lines:
                report_failures(summary.failures, len(summary.failures), "images")
        for names, remark in (
            (summary.untouched, "measured as they are"),
            (summary.left_out, "left out"),
        ):
            if names:
                note(f"images without outlines, {remark}: {', '.join(names)}")
        print(*summary.lines, sep="\n", flush=True)
        yield folder, summary.failures, summary.images


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("out")
def report(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps."), Reads()],
    out: Annotated[OutFolder, WritesFolder(replaced=(".",))],
    truth: Truth = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Particle sizes",
    size: Annotated[SizeName, typer.Option(help="Measurement used as particle size.")] = (
        "equivalent_diameter"
    ),
    weighting: Annotated[
        Literal["number", "volume"], typer.Option(help="Weight particles by number or by volume.")
    ] = "number",
    frame: Annotated[
        FrameRuleName, typer.Option(help="Rule for particles cut by the frame.")
    ] = "keep",
    samples: Annotated[
        str | None, typer.Option(help="Regular expression that finds the sample in an image name.")
    ] = None,
    binary: Binary = False,
    choice: ChoiceFile = None,
    pixel_size_uncertainty: PixelSizeUncertainty = None,
    twins: Annotated[
        Path | None,
        typer.Option(help="Folder written by 'twins', to correct the sizes by."),
        Reads(),
    ] = None,
) -> None:
    """Write a report on a folder of label maps: distributions, overlays, tables.

    Example: nanorender report labels --size min_feret --samples "^[^_]+" -o report
    """
    from nanorender.files.particlechoice import read_particle_choice
    from nanorender.files.segmentation import find_label_maps, read_mask, read_segmented
    from nanorender.report.study import write_report
    from nanorender.scoring.plausibility import doubts
    from nanorender.scoring.results import format_scores, read_results
    from nanorender.statistics.groups import samples_by_name
    from nanorender.statistics.summary import Statistics

    settings = Statistics(
        quantity=size,
        weighting=weighting,
        frame_correction=frame,
        pixel_size_uncertainty_percent=pixel_size_uncertainty,
    )
    chosen = None if choice is None else read_particle_choice(choice)
    if samples is not None:  # a wrong pattern is refused before the particles are measured
        samples_by_name([path.stem for path in find_label_maps(labels)], samples)
    command = shlex.join(["nanorender", *sys.argv[1:]])
    with progress("measuring") as show:
        results = read_results(labels, truth, show, read_mask if binary else read_segmented, chosen)
    with progress("drawing") as show:
        page = write_report(labels, results, out, settings, title, command, samples, show, twins)
    _note_other_images(labels)
    for doubt in doubts(results, frame):
        note(doubt)
    print(*format_scores(results), page, sep="\n")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
def evaluate(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps, or one of them."), Reads()],
    truth: Annotated[
        str, typer.Argument(help="Annotations: folder, suffix of names, or file."), Reads()
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="CSV file of all scores."), WritesFile()
    ] = None,
    min_area_px: Annotated[int, typer.Option(min=1, help="Ignore smaller true regions.")] = 50,
    binary: Binary = False,
    as_json: AsJson = False,
) -> None:
    """Score label maps against the truth: pixels, particles from IoU 0.5 to 0.95, sizes.

    Example: nanorender evaluate labels truth -o scores.csv
    """
    from nanorender.files.atomic import write_text
    from nanorender.files.segmentation import read_mask, read_segmented
    from nanorender.scoring.evaluate import (
        evaluate_folder,
        evaluation_record,
        format_evaluation,
        full_table,
    )

    if out is not None and out.suffix.lower() != ".csv":
        raise InputError(f"{out} must end in .csv; Excel opens such files")
    with progress("scoring") as show:
        evaluations = evaluate_folder(
            labels, truth, min_area_px, show, read_mask if binary else read_segmented
        )
    if out is not None:
        write_text(out, full_table(evaluations).to_csv(index=False, lineterminator="\n"))
    if as_json:
        print(json.dumps(evaluation_record(evaluations), indent=1))
    else:
        print(format_evaluation(evaluations, min_area_px))
    if out is not None:
        print(out, file=sys.stderr)
