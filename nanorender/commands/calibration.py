"""Command that fits recipes to micrographs: calibrate."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nanorender.commands.collisions import Reads, WritesFile, refuse_collisions
from nanorender.commands.options import (
    RECIPE_HELP,
    Crop,
    DarkParticles,
    PixelSize,
    Seed,
    Several,
    note,
    parse_reading,
)
from nanorender.commands.progress import progress

app = typer.Typer()
PANEL = "Render"


@app.command(rich_help_panel=PANEL)
@refuse_collisions
def calibrate(
    micrographs: Several,
    recipe: Annotated[
        str,
        typer.Option(help=f"{RECIPE_HELP} 'any' is the preset that fits best."),
        Reads(folders=False),
    ] = "tio2",
    out: Annotated[
        Path, typer.Option("-o", "--out", help="TOML file to write."), WritesFile()
    ] = Path("mine.toml"),
    sheet: Annotated[
        Path | None, typer.Option(help="PNG file for a visual check."), WritesFile()
    ] = None,
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
    from nanorender.calibration.bases import ANY, describe_ranking, misfit, rank_bases
    from nanorender.calibration.calibrate import CalibrationSettings, calibrate
    from nanorender.calibration.fitted_recipe import (
        loss_summary,
        require_suffix,
        write_fitted,
        write_sheet,
    )
    from nanorender.files.collection import is_read_from_bar, note_on_bars, read_micrographs
    from nanorender.recipe import read_recipe
    from nanorender.scoring.plausibility import LARGEST_RELATIVE_LOSS

    require_suffix(out, ".toml")
    if sheet is not None:
        require_suffix(sheet, ".png")
    base = None if recipe == ANY else read_recipe(recipe)
    images = read_micrographs(micrographs, parse_reading(pixel_size_nm, crop=crop))
    for image in images:
        for line in image.notes:
            note(f"{image.path.name}: {line}")
    for line in note_on_bars(sum(map(is_read_from_bar, images))):
        note(line)
    settings = CalibrationSettings(
        evaluations=evaluations, seed=seed, dark_particles=dark_particles
    )
    ranked = None
    if base is None:
        with progress("choosing the recipe") as show:
            ranked = rank_bases(images, settings, on_progress=show)
        note(describe_ranking(ranked))
        recipe = ranked[0].name
        base = read_recipe(recipe)
    with progress("fitting") as show:
        fitted = calibrate(images, base, settings, show)
    for line in fitted.notes:
        note(line)
    write_fitted(fitted, recipe, [image.path.name for image in images], out)
    if sheet is not None:
        views = {"real": fitted.real_views, "synthetic, fitted": fitted.synthetic_views}
        write_sheet(fitted, views, sheet)
        print(sheet)
    print(loss_summary(fitted), file=sys.stderr)
    relative_loss = fitted.recipe.relative_loss or 0.0
    if relative_loss > LARGEST_RELATIVE_LOSS:
        if ranked is None:
            with progress("comparing recipes") as show:
                ranked = rank_bases(images, settings, on_progress=show)
        note(misfit(fitted.after.loss(), relative_loss, recipe, ranked))
    print(out)
