"""The options of the command line that several commands share, each named once."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanorender.errors import InputError

if TYPE_CHECKING:
    from nanorender.files.collection import Collection, Reading

RECIPE_HELP = "Preset (ag, powder, sio2, tio2) or TOML file."
RecipeName = Annotated[str, typer.Argument(help=RECIPE_HELP)]
Micrographs = Annotated[Path, typer.Argument(help="Folder of images, or one of them.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder to write, made if missing.")]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="Synthetic images.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is random.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
Preset = Annotated[str, typer.Option(help="Training: cpu, gpu, paper, demo, or a TOML file.")]
PixelSize = Annotated[float | None, typer.Option(help="In place of what the files say.")]
InPixels = Annotated[bool, typer.Option("--pixels", help="Measure in pixels, not in nm.")]
Crop = Annotated[str | None, typer.Option(help="TOP,BOTTOM,LEFT,RIGHT to keep, px.")]
Truth = Annotated[str | None, typer.Option(help="Annotations: suffix of the names, or folder.")]
Averaged = Annotated[
    bool, typer.Option("--averaged/--once", help="Mean over flips and zooms, or one prediction.")
]
Shard = Annotated[str, typer.Option(help="I/N: every N-th from the I-th, for job arrays.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask cluster that does the work instead.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SeparationFile = Annotated[
    Path | None,
    typer.Option("--separation", help="TOML file of how particles are found and parted."),
]
Several = Annotated[list[Path], typer.Argument(help="Images, or folders of them.")]
DarkParticles = Annotated[
    bool, typer.Option("--dark-particles", help="Particles are darker than the background.")
]
CORES = os.cpu_count() or 1


def parse_reading(
    pixel_size_nm: float | None = None,
    in_pixels: bool = False,
    crop: str | None = None,
    truth: str | None = None,
) -> "Reading":
    """Build the settings for reading micrographs from the options of a command."""
    from nanorender.files.collection import Reading

    if crop is None:
        return Reading(pixel_size_nm, in_pixels, None, truth)
    try:
        top, bottom, left, right = (int(part) for part in crop.split(","))
    except ValueError:
        raise InputError(
            f"crop must be TOP,BOTTOM,LEFT,RIGHT in pixels, such as 0,712,0,1024, got '{crop}'"
        ) from None
    return Reading(pixel_size_nm, in_pixels, (top, bottom, left, right), truth)


@cache
def read_with_notes(path: Path, reading: "Reading") -> "Collection":
    """Read a collection of micrographs once per process, and print its notes."""
    from nanorender.files.collection import read_collection

    found = read_collection(path, reading)
    for line in found.notes:
        note(line)
    return found


@cache
def note(text: str) -> None:
    """Tell the user something, once."""
    print(f"note: {text}", file=sys.stderr)


def report_failures(failures: Sequence[str], total: int, what: str) -> None:
    """List what could not be done, after all else has been; raises InputError if there is any."""
    if not failures:
        return
    if total == 1:
        raise InputError(failures[0])
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    raise InputError(f"{len(failures)} of {total} {what} failed, as listed; the others are done")
