"""Commands of the renderer: recipes, synthetic images and their folders."""

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from nanorender.commands.options import (
    CORES,
    RECIPE_HELP,
    AsJson,
    Count,
    Crop,
    DarkParticles,
    Out,
    PixelSize,
    RecipeName,
    Scheduler,
    Seed,
    Several,
    Shard,
    Workers,
    parse_reading,
)
from nanorender.commands.progress import ProgressCallback, counted, progress
from nanorender.outputs import OUTPUTS
from nanorender.provenance.record import recorded

app = typer.Typer()
PANEL = "Render"
Dataset = Annotated[Path, typer.Argument(help="Folder that 'generate' wrote.")]


def rendering_progress() -> AbstractContextManager[ProgressCallback]:
    """Return a progress bar that says so when the renderer has to be compiled first."""
    from nanorender.jit import is_compiled

    return progress("rendering" if is_compiled() else "compiling once, then rendering")


@app.command(rich_help_panel=PANEL)
def preview(
    recipe: RecipeName,
    count: Count = 6,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="PNG file.")] = Path("preview.png"),
) -> None:
    """Draw a contact sheet of a recipe: images, labels, depth and normals.

    Example: nanorender preview tio2 -n 4 -o tio2.png
    """
    from nanorender.preview import write_preview
    from nanorender.recipe import read_recipe

    with rendering_progress() as show:
        write_preview(read_recipe(recipe), count, seed, out, show)
    print(out)


@app.command(rich_help_panel=PANEL)
def gallery(out: Out) -> None:
    """Draw every template under every shader, and what the presets make, for a look or a README.

    Example: nanorender gallery -o pictures
    """
    from nanorender.gallery import write_gallery

    with rendering_progress() as show:
        written = write_gallery(out, show)
    print(*written, sep="\n")


@app.command(rich_help_panel=PANEL)
@recorded("out")
def generate(
    recipe: RecipeName,
    out: Out,
    count: Count = 180,
    seed: Seed = 0,
    workers: Workers = CORES,
    pixel_size_nm: Annotated[float | None, typer.Option(help="Draw to this scale.")] = None,
    image_px: Annotated[int, typer.Option(help="Edge of images drawn to scale.")] = 512,
    outputs: Annotated[
        str | None,
        typer.Option(help=f"Additional files of each sample: {','.join(OUTPUTS)}."),
    ] = None,
    shard: Shard = "1/1",
    scheduler: Scheduler = None,
) -> None:
    """Make synthetic images with exact labels; what is there already is kept.

    Example: nanorender generate tio2 -n 180 -o dataset
    """
    from nanorender.generate import generate, parse_shard
    from nanorender.recipe import read_recipe

    part = parse_shard(shard)
    settings = read_recipe(recipe)
    if pixel_size_nm is not None:
        settings = settings.at_scale(pixel_size_nm, image_px)
    if outputs is not None:
        settings = settings.with_outputs(outputs)
    with rendering_progress() as show:
        generate(
            settings,
            count,
            seed,
            out,
            workers=workers,
            shard=part,
            scheduler=scheduler,
            on_progress=show,
        )
    print(out)


@app.command(rich_help_panel=PANEL)
def verify(dataset: Dataset) -> None:
    """Check a dataset: every file against its checksum, labels against the truth tables.

    Example: nanorender verify dataset
    """
    from nanorender.errors import InputError
    from nanorender.files.verify import verify

    with progress("verifying") as show:
        found = verify(dataset, show)
    print(*found.problems, sep="\n", end="\n" if found.problems else "")
    if found.problems:
        raise InputError(
            f"{dataset} has {len(found.problems)} problems in {found.samples} samples; 'generate' "
            "makes what is missing: delete the sums/*.sha256 of damaged samples and run it again"
        )
    print(f"{found.samples} samples are whole and agree with their truth tables")


@app.command(rich_help_panel=PANEL)
@recorded("out")
def export(
    folder: Annotated[Path, typer.Argument(help="Folder that 'generate' or 'segment' wrote.")],
    out: Out,
    layout: Annotated[str, typer.Option(help="coco, cellpose, stardist or nnunet.")] = "coco",
) -> None:
    """Write a dataset or label maps in another program's layout, images included.

    Example: nanorender export dataset --layout cellpose -o for_cellpose
    """
    from nanorender.files.dataset import complete_samples
    from nanorender.files.export import export
    from nanorender.files.labeled import dataset_images, segmented_images
    from nanorender.files.segmentation import find_label_maps

    if any(folder.glob("*.tif")):
        images, total = segmented_images(folder), len(find_label_maps(folder))
    else:
        images, total = dataset_images(folder), len(complete_samples(folder))
    with progress("writing") as show:
        export(layout, counted(images, total, show), out)
    print(out)


@app.command(rich_help_panel=PANEL)
def bench(
    recipes: Annotated[list[str] | None, typer.Argument(help="Presets; all by default.")] = None,
    count: Count = 10,
    as_json: AsJson = False,
) -> None:
    """Measure how fast this machine renders, by stage.

    Example: nanorender bench tio2 --json
    """
    from nanorender.bench import as_text, bench
    from nanorender.recipe import preset_names

    measured = bench(recipes or preset_names(), count)
    print(json.dumps(measured, indent=1) if as_json else as_text(measured))


@app.command(rich_help_panel=PANEL)
def calibrate(
    micrographs: Several,
    recipe: Annotated[str, typer.Option(help=RECIPE_HELP)] = "tio2",
    out: Annotated[Path, typer.Option("-o", "--out", help="TOML file.")] = Path("mine.toml"),
    sheet: Annotated[Path | None, typer.Option(help="PNG file for a visual check.")] = None,
    evaluations: Annotated[
        int,
        typer.Option(min=1, help="Candidates to render; 80 or more to fit all settings."),
    ] = 200,
    dark_particles: DarkParticles = False,
    pixel_size_nm: PixelSize = None,
    crop: Crop = None,
    seed: Seed = 0,
) -> None:
    """Fit a recipe to one to ten micrographs without annotations.

    Example: nanorender calibrate micrographs --recipe tio2 -o mine.toml --sheet mine.png
    """
    from nanorender.calibration.calibrate import CalibrationSettings, calibrate
    from nanorender.calibration.fitted_recipe import (
        loss_summary,
        require_suffix,
        write_fitted,
        write_sheet,
    )
    from nanorender.files.collection import read_micrographs
    from nanorender.recipe import read_recipe

    require_suffix(out, ".toml")
    if sheet is not None:
        require_suffix(sheet, ".png")
    base = read_recipe(recipe)
    images = read_micrographs(micrographs, parse_reading(pixel_size_nm, crop=crop))
    settings = CalibrationSettings(
        evaluations=evaluations, seed=seed, dark_particles=dark_particles
    )
    with progress("fitting") as show:
        fitted = calibrate(images, base, settings, show)
    for note in fitted.notes:
        print(f"note: {note}", file=sys.stderr)
    write_fitted(fitted, recipe, [image.path.name for image in images], out)
    if sheet is not None:
        views = {"real": fitted.real_views, "synthetic, fitted": fitted.synthetic_views}
        write_sheet(fitted, views, sheet)
        print(sheet)
    print(loss_summary(fitted), file=sys.stderr)
    print(out)
