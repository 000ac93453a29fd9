"""Commands of the renderer: preview, gallery, generate, bench."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from nanorender.commands.collisions import WritesFile, refuse_collisions
from nanorender.commands.options import (
    CORES,
    Count,
    Out,
    RecipeName,
    Scheduler,
    Seed,
    Shard,
    Workers,
)
from nanorender.commands.progress import ProgressCallback, progress
from nanorender.errors import InputError
from nanorender.outputs import OUTPUTS
from nanorender.provenance.record import recorded
from nanorender.recipes import known_names

app = typer.Typer()
PANEL = "Render"


def _rendering_progress() -> AbstractContextManager[ProgressCallback]:
    """Show a progress bar, which announces compilation if the renderer needs it."""
    from nanorender.jit import is_compiled

    return progress("rendering" if is_compiled() else "compiling once, then rendering")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
def preview(
    recipe: RecipeName,
    count: Count = 6,
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="PNG file to write."), WritesFile()
    ] = Path("preview.png"),
) -> None:
    """Draw a contact sheet of a recipe: images, labels, heights and normals.

    Example: nanorender preview tio2 -n 4 -o tio2.png
    """
    from nanorender.preview import write_preview
    from nanorender.randomization import read_recipe_source

    with _rendering_progress() as show:
        write_preview(read_recipe_source(recipe), count, seed, out, show)
    print(out)


@app.command(rich_help_panel=PANEL)
@refuse_collisions
def recipes(
    name: Annotated[
        str | None, typer.Argument(help=f"Recipe to print: {', '.join(known_names())}.")
    ] = None,
) -> None:
    """List the built-in recipes, or print one as TOML to make your own from it.

    Compare 'nanorender preview NAME' with your images to choose one.

    Example: nanorender recipes tio2 > mine.toml
    """
    from nanorender.recipes import preset_summaries, preset_text

    if name is None:
        width = max(map(len, known_names()))
        for each in preset_summaries():
            print(f"{each.name:<{width}}  {each.description}\n{'':<{width}}  {each.use}")
        return
    text = preset_text(name)
    if text is None:
        raise InputError(f"no recipe '{name}'; choose one of {', '.join(known_names())}")
    print(text, end="")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
def gallery(out: Out) -> None:
    """Draw every particle template in every material, and an image of every preset.

    Example: nanorender gallery -o pictures
    """
    from nanorender.gallery import write_gallery

    with _rendering_progress() as show:
        written = write_gallery(out, show)
    print(*written, sep="\n")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("out")
def generate(
    recipe: RecipeName,
    out: Out,
    count: Count = 180,
    seed: Seed = 0,
    workers: Workers = CORES,
    pixel_size_nm: Annotated[float | None, typer.Option(help="Pixel size of the images.")] = None,
    image_px: Annotated[
        int | None,
        typer.Option(
            min=1, help="Edge of the images in pixels, with --pixel-size-nm; left out: 512."
        ),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(help=f"Additional files of each sample: {','.join(OUTPUTS)}."),
    ] = None,
    shard: Shard = "1/1",
    scheduler: Scheduler = None,
) -> None:
    """Generate synthetic images with exact labels; existing ones are kept.

    Example: nanorender generate tio2 -n 180 -o dataset
    """
    from nanorender.generation import generate, parse_shard
    from nanorender.randomization import read_recipe_source

    part = parse_shard(shard)
    settings = read_recipe_source(recipe)
    if pixel_size_nm is not None:
        settings = settings.at_scale(pixel_size_nm, 512 if image_px is None else image_px)
    elif image_px is not None:
        raise InputError(
            "--image-px needs --pixel-size-nm; give both, or set image_px and field_nm in a recipe"
        )
    if outputs is not None:
        settings = settings.with_outputs(outputs)
    with _rendering_progress() as show:
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
