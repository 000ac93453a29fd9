"""Options that several commands share, and the functions that act on them."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanorender.commands.collisions import Reads, WritesFolder
from nanorender.errors import InputError
from nanorender.recipes import known_names, preset_names

if TYPE_CHECKING:
    from nanorender.files.collection import Collection, Reading
    from nanorender.files.pixelsizetable import PixelSizeTable

RECIPE_HELP = f"Preset ({', '.join(preset_names())}) or TOML file."
SOURCE_HELP = f"Preset ({', '.join(known_names())}) or TOML file."
RecipeName = Annotated[str, typer.Argument(help=SOURCE_HELP), Reads(folders=False)]
Micrographs = Annotated[Path, typer.Argument(help="Folder of images, or a single image."), Reads()]
Several = Annotated[list[Path], typer.Argument(help="Images, or folders of images."), Reads()]
OutFolder = Annotated[Path, typer.Option("-o", "--out", help="Output folder, created if missing.")]
Out = Annotated[OutFolder, WritesFolder()]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="Number of synthetic images.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
Workers = Annotated[int, typer.Option(min=1, help="Number of processes.")]
Shard = Annotated[
    str, typer.Option(help="I/N: make every N-th image from the I-th, for job arrays.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler to run the tasks on.")
]
PixelSize = Annotated[
    str | None,
    typer.Option(
        help="Pixel size of all images, or CSV file with the columns image and pixel_size_nm; "
        "overrides their files."
    ),
    Reads(folders=False),
]
InPixels = Annotated[bool, typer.Option("--pixels", help="Measure in pixels instead of nm.")]
Crop = Annotated[
    str | None, typer.Option(help="TOP,BOTTOM,LEFT,RIGHT of the part to use, in pixels.")
]
Truth = Annotated[
    str | None, typer.Option(help="Annotations: suffix of their names, or their folder."), Reads()
]
Averaged = Annotated[
    bool | None,
    typer.Option(
        "--averaged/--once",
        help="Average predictions over flips and zooms, or predict once; left out: averaged, but "
        "once with a model that has no scale, such as the general one.",
    ),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Discard particles of lower confidence; left out: as fitted."),
]
ModelFile = Annotated[
    Path | None,
    typer.Option("--model", help="Run folder or model file; left out: the general model."),
    Reads(),
]
SeparationFile = Annotated[
    Path | None,
    typer.Option("--separation", help="TOML file with the settings of particle separation."),
    Reads(),
]
DarkParticles = Annotated[
    bool,
    typer.Option(
        "--dark-particles",
        help="Particles are darker than the background; recipes of TEM images need no such option.",
    ),
]
PixelSizeUncertainty = Annotated[
    float | None,
    typer.Option(
        "--pixel-size-uncertainty",
        min=0.001,
        max=25,
        help="Standard uncertainty of the pixel size in percent, added to the intervals of sizes "
        "in quadrature; left out: not included.",
    ),
]
ChoiceFile = Annotated[
    Path | None,
    typer.Option(
        "--choice",
        help="Particles struck out by hand, exported from the page of a report (.json); they are "
        "marked and not counted.",
    ),
    Reads(folders=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]
CORES = os.cpu_count() or 1


def parse_reading(
    pixel_size_nm: float | str | None = None,
    in_pixels: bool = False,
    crop: str | None = None,
    truth: str | None = None,
) -> "Reading":
    """Build the settings for reading micrographs from the options of a command."""
    from nanorender.files.collection import Reading

    given = _pixel_sizes(pixel_size_nm)
    if crop is None:
        return Reading(given, in_pixels, None, truth)
    try:
        top, bottom, left, right = (int(part) for part in crop.split(","))
    except ValueError:
        raise InputError(
            f"crop must be TOP,BOTTOM,LEFT,RIGHT in pixels, such as 0,712,0,1024, got '{crop}'"
        ) from None
    return Reading(given, in_pixels, (top, bottom, left, right), truth)


def _pixel_sizes(given: float | str | None) -> "float | PixelSizeTable | None":
    """Read a number, or the table in a file."""
    from nanorender.files.pixelsizetable import read_pixel_sizes

    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        path = Path(str(given))
    if not path.is_file():
        raise InputError(
            f"--pixel-size-nm must be a number, or a CSV file with the columns image and "
            f"pixel_size_nm, got '{given}'"
        )
    return read_pixel_sizes(path)


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
    """Print a note on standard error, once per process."""
    print(f"note: {text}", file=sys.stderr)


def report_failures(failures: Sequence[str], total: int, what: str) -> None:
    """List the failures after all other items are done; raise InputError if there are any."""
    if not failures:
        return
    if total == 1:
        raise InputError(failures[0])
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    raise InputError(f"{len(failures)} of {total} {what} failed, listed above; all others are done")
