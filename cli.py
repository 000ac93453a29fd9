"""The command line: one command per stage, from recipe to report."""

import json
import os
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nanorender.errors import InputError
from nanorender.progress import progress

if TYPE_CHECKING:
    from nanorender.collection import Collection

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Synthetic nanoparticle micrographs with exact labels, a U-Net trained on them alone, "
    "and the sizes of the particles on real ones.",
)

RECIPE_HELP = "Preset (ag, sio2, tio2) or TOML file."
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
Averaged = Annotated[bool, typer.Option("--averaged/--once", help="Predict four flips, or one.")]
CORES = os.cpu_count() or 1


@app.command()
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

    with progress("rendering") as show:
        write_preview(read_recipe(recipe), count, seed, out, show)
    print(out)


@app.command()
def generate(
    recipe: RecipeName,
    out: Out,
    count: Count = 180,
    seed: Seed = 0,
    workers: Workers = CORES,
    pixel_size_nm: Annotated[float | None, typer.Option(help="Draw to this scale.")] = None,
    image_px: Annotated[int, typer.Option(help="Edge of images drawn to scale.")] = 512,
) -> None:
    """Make synthetic images with exact labels; what is there already is kept.

    Example: nanorender generate tio2 -n 180 -o dataset
    """
    from nanorender.generate import generate
    from nanorender.recipe import read_recipe

    settings = read_recipe(recipe)
    if pixel_size_nm is not None:
        settings = settings.at_scale(pixel_size_nm, image_px)
    with progress("rendering") as show:
        generate(settings, count, seed, out, workers=workers, on_progress=show)
    print(out)


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder that 'generate' wrote.")],
    out: Out,
    preset: Preset = "cpu",
    validation: Annotated[Path | None, typer.Option(help="Real ones to predict.")] = None,
    truth: Truth = None,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
) -> None:
    """Train a U-Net on synthetic images; started again, it goes on where it was.

    Example: nanorender train dataset --validation micrographs -o run
    """
    from unet import presets
    from unet.train import describe_device, train
    from unet.validation import validation_images

    settings = presets.preset(preset)
    images = []
    if validation is not None:
        images = validation_images(_collection(validation, pixel_size_nm, in_pixels, crop, truth))
    print(f"training on {describe_device()}, preset {preset}", file=sys.stderr)
    with progress("training") as show:
        train(dataset, settings, out, images, lambda now: show(now.step, now.steps))
    print(out)


@app.command()
def select(
    run: Annotated[Path, typer.Argument(help="Folder that 'train' wrote.")],
    validation: Annotated[Path, typer.Option(help="The micrographs given to 'train'.")],
    truth: Truth = None,
    by: Annotated[
        Literal["object_f1", "pixel_f1", "label_free"],
        typer.Option(help="Score on the annotations, or one that needs none."),
    ] = "label_free",
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
) -> None:
    """Rank the epochs of a run by real micrographs and make the best one its model.

    Example: nanorender select run --validation micrographs --truth _m --by object_f1
    """
    from unet.select import rank, select_epoch
    from unet.validation import validation_images

    images = validation_images(_collection(validation, pixel_size_nm, in_pixels, crop, truth))
    with progress("ranking") as show:
        ranked = rank(run, images, by, show)
    for place in ranked[:5]:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in place.parts.items())
        print(f"epoch {place.epoch}: {place.score:.4f} ({parts})")
    print(select_epoch(run, ranked[0].epoch))


@app.command()
def segment(
    model: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    micrographs: Micrographs,
    out: Out,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    truth: Truth = None,
    averaged: Averaged = True,
) -> None:
    """Write the label map of every micrograph; what is there already is kept.

    Example: nanorender segment run micrographs -o labels
    """
    from nanorender.analysis.separate import Separation
    from unet.segment import segment

    collection = _collection(micrographs, pixel_size_nm, in_pixels, crop, truth)
    with progress("segmenting") as show:
        segment(model, collection, Separation(), out, averaged, show)
    print(out)


@app.command()
def measure(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="CSV file.")] = Path("particles.csv"),
) -> None:
    """Measure every particle of a folder of label maps: one row each, in nm.

    Example: nanorender measure labels -o particles.csv
    """
    from nanorender.analysis.study import read_results, write_table

    with progress("measuring") as show:
        write_table(read_results(labels, None, show), out)
    print(out)


@app.command()
def report(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps.")],
    out: Out,
    truth: Truth = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Particle sizes",
) -> None:
    """Write the report on a folder of label maps: distributions, overlays, tables.

    Example: nanorender report labels -o report
    """
    from nanorender.analysis.study import read_results, score_lines, write_report

    with progress("measuring") as show:
        results = read_results(labels, truth, show)
    page = write_report(labels, results, out, title, shlex.join(["nanorender", *sys.argv[1:]]))
    print(*score_lines(results), page, sep="\n")


@app.command()
def run(
    micrographs: Micrographs,
    out: Out,
    recipe: Annotated[str, typer.Option(help=RECIPE_HELP)] = "tio2",
    count: Count = 160,
    seed: Seed = 0,
    preset: Preset = "cpu",
    workers: Workers = CORES,
    truth: Truth = None,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    averaged: Averaged = True,
) -> None:
    """From micrographs to a report: all stages, into one folder; started again, it goes on.

    Example: nanorender run micrographs --recipe tio2 -o study
    """
    from nanorender.calibrate import assumed_pixel_size_nm
    from nanorender.recipe import read_recipe

    images = _collection(micrographs, pixel_size_nm, in_pixels, crop, truth)
    scale_nm = images.pixel_size_nm or assumed_pixel_size_nm(images, read_recipe(recipe))
    dataset, trained, labels = out / "dataset", out / "run", out / "labels"
    reading = (pixel_size_nm, in_pixels, crop)
    generate(recipe, dataset, count, seed, workers, scale_nm)
    train(dataset, trained, preset, micrographs, truth, *reading)
    select(trained, micrographs, truth, "label_free", *reading)
    segment(trained, micrographs, labels, *reading, truth, averaged)
    measure(labels, out / "particles.csv")
    report(labels, out / "report", truth, f"Particles of {micrographs}")


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("demo"),
    workers: Workers = CORES,
) -> None:
    """Show the whole chain without any input: learn from synthetic images, measure others.

    Example: nanorender demo
    """
    scale_nm, unseen, labels = 7.0, out / "unseen", out / "labels"
    generate("tio2", out / "dataset", 80, 0, workers, scale_nm, 384)
    train(out / "dataset", out / "run", "demo")
    generate("tio2", unseen, 4, 1, workers, scale_nm, 768)
    segment(out / "run", unseen / "images", labels)
    measure(labels, out / "particles.csv")
    title = "Synthetic TiO2 that the network never saw"
    report(labels, out / "report", str(unseen / "labels"), title)


@app.command()
def bench(
    recipes: Annotated[list[str] | None, typer.Argument(help="Presets; all by default.")] = None,
    count: Count = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure how fast this machine renders, by stage.

    Example: nanorender bench tio2 --json
    """
    from nanorender.bench import as_text, bench
    from nanorender.recipe import preset_names

    measured = bench(recipes or preset_names(), count)
    print(json.dumps(measured, indent=1) if as_json else as_text(measured))


@cache
def _collection(path: Path, *reading: Any) -> "Collection":
    """Return micrographs read as `parse_reading` says, and print their notes once."""
    from nanorender.collection import parse_reading, read_collection

    collection = read_collection(path, parse_reading(*reading))
    for note in collection.notes:
        print(f"note: {note}", file=sys.stderr)
    return collection


def main() -> None:
    """Run the command line; bad input gives one line and exit code 2, an interrupt 130."""
    try:
        app()
    except InputError as error:
        print(f"nanorender: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("nanorender: interrupted; start it again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
