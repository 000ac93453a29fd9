"""The command line: one command per stage, from recipe to report."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nanorender.errors import InputError

if TYPE_CHECKING:
    from nanorender.analysis.results import ImageResult
    from nanorender.collection import Collection

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Synthetic nanoparticle micrographs with exact labels, a U-Net trained on them alone, "
    "and the sizes of the particles on real ones.",
)

PATCH_IMAGE_PX = 512  # edge of synthetic images that are made for given micrographs

RecipeName = Annotated[str, typer.Option("--recipe", help="Preset (ag, sio2, tio2) or TOML file.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder to write, made if missing.")]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="Synthetic images.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is random.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
Preset = Annotated[str, typer.Option(help="Training: cpu, gpu, paper, demo, or a TOML file.")]
PixelSize = Annotated[
    float | None, typer.Option("--pixel-size-nm", help="In place of what the files say.")
]
InPixels = Annotated[bool, typer.Option("--pixels", help="Measure in pixels, not in nm.")]
Crop = Annotated[
    str | None,
    typer.Option(help="TOP,BOTTOM,LEFT,RIGHT to keep, px; in place of the search for an info bar."),
]
Truth = Annotated[
    str | None,
    typer.Option(help="Annotations to score against: suffix of their names (_m) or their folder."),
]
Averaged = Annotated[
    bool, typer.Option("--averaged", help="Average predictions over flips: better, 4 x slower.")
]
CORES = os.cpu_count() or 1


@app.command()
def preview(
    recipe: Annotated[str, typer.Argument(help="Preset (ag, sio2, tio2) or TOML file.")],
    count: Count = 6,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="PNG file.")] = Path("preview.png"),
) -> None:
    """Draw a contact sheet of a recipe: images, labels, depth and normals.

    Example: nanorender preview tio2 -n 4 -o tio2.png
    """
    from nanorender.preview import write_preview
    from nanorender.progress import progress
    from nanorender.recipe import read_recipe

    with progress("rendering") as show:
        write_preview(read_recipe(recipe), count, seed, out, show)
    print(out)


@app.command()
def generate(
    recipe: Annotated[str, typer.Argument(help="Preset (ag, sio2, tio2) or TOML file.")],
    out: Out,
    count: Count = 180,
    seed: Seed = 0,
    workers: Workers = CORES,
    pixel_size_nm: Annotated[
        float | None, typer.Option(help="Draw the recipe to this scale, with --image-px.")
    ] = None,
    image_px: Annotated[int, typer.Option(help="Edge of images drawn to scale.")] = PATCH_IMAGE_PX,
) -> None:
    """Make synthetic images with exact labels; what is there already is kept.

    Example: nanorender generate tio2 -n 180 -o dataset
    """
    from nanorender.recipe import read_recipe

    settings = read_recipe(recipe)
    if pixel_size_nm is not None:
        settings = settings.at_scale(pixel_size_nm, image_px)
    _generate(settings, count, seed, out, workers)
    print(out)


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder that 'generate' wrote.")],
    out: Out,
    preset: Preset = "cpu",
    validation: Annotated[
        Path | None, typer.Option(help="Real micrographs, predicted after epochs.")
    ] = None,
    truth: Truth = None,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
) -> None:
    """Train a U-Net on synthetic images; started again, it goes on where it was.

    Example: nanorender train dataset --validation micrographs -o run
    """
    micrographs = None
    if validation is not None:
        micrographs = _collection(validation, pixel_size_nm, in_pixels, crop, truth)
    _train(dataset, preset, out, micrographs)
    print(out)


@app.command()
def select(
    run: Annotated[Path, typer.Argument(help="Folder that 'train' wrote.")],
    validation: Annotated[Path, typer.Option(help="The micrographs given to 'train'.")],
    truth: Truth = None,
    by: Annotated[
        Literal["object_f1", "pixel_f1", "label_free"],
        typer.Option(help="Score of the annotated images, or none of them needed."),
    ] = "label_free",
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
) -> None:
    """Rank the epochs of a run by real micrographs and make the best one its model.

    Example: nanorender select run --validation micrographs --truth _m --by object_f1
    """
    _select(run, _collection(validation, pixel_size_nm, in_pixels, crop, truth), by)


@app.command()
def segment(
    model: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    micrographs: Annotated[Path, typer.Argument(help="Folder of images, or one of them.")],
    out: Out,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    averaged: Averaged = False,
) -> None:
    """Write the label map of every micrograph; what is there already is kept.

    Example: nanorender segment run micrographs -o labels
    """
    _segment(model, _collection(micrographs, pixel_size_nm, in_pixels, crop), out, averaged)
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

    write_table(read_results(labels), out)
    print(out)


@app.command()
def report(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps.")],
    out: Out,
    truth: Truth = None,
) -> None:
    """Write the report of a folder of label maps: distributions, overlays, tables.

    Example: nanorender report labels -o report
    """
    from nanorender.analysis.study import read_results

    print(_write_report(labels, read_results(labels, truth), out, f"Particles of {labels}"))


@app.command()
def run(
    micrographs: Annotated[Path, typer.Argument(help="Folder of images, or one of them.")],
    out: Out,
    recipe: RecipeName = "tio2",
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
    settings = read_recipe(recipe)
    scale = images.pixel_size_nm or assumed_pixel_size_nm(images, settings)
    _generate(settings.at_scale(scale, PATCH_IMAGE_PX), count, seed, out / "dataset", workers)
    _train(out / "dataset", preset, out / "run", images)
    _select(out / "run", images, "label_free")
    _segment(out / "run", images, out / "labels", averaged)
    _finish(out, truth, f"Particles of {micrographs}")


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("demo"),
    workers: Workers = CORES,
) -> None:
    """Show the whole chain without any input: learn from synthetic images, measure others.

    Example: nanorender demo
    """
    from nanorender.collection import Reading, read_collection
    from nanorender.recipe import read_recipe

    settings = read_recipe("tio2").at_scale(7.0, 384)
    _generate(settings, 80, 0, out / "dataset", workers)
    _train(out / "dataset", "demo", out / "run", None)
    _generate(settings.at_scale(7.0, 768), 4, 1, out / "unseen", workers)
    unseen = read_collection(out / "unseen" / "images", Reading())
    _segment(out / "run", unseen, out / "labels", averaged=False)
    _finish(out, str(out / "unseen" / "labels"), "Synthetic TiO2 that the network never saw")


def _collection(
    path: Path,
    pixel_size_nm: float | None,
    in_pixels: bool,
    crop: str | None,
    truth: str | None = None,
) -> "Collection":
    """Return the micrographs, and say what is to be known about them."""
    from nanorender.collection import Reading, parse_crop, read_collection

    reading = Reading(pixel_size_nm, in_pixels, parse_crop(crop), truth)
    collection = read_collection(path, reading)
    for note in collection.notes:
        print(f"note: {note}", file=sys.stderr)
    return collection


def _generate(recipe, count: int, seed: int, folder: Path, workers: int) -> None:
    from nanorender.generate import generate
    from nanorender.progress import progress

    with progress("rendering") as show:
        generate(recipe, count, seed, folder, workers=workers, on_progress=show)


def _train(dataset: Path, preset: str, folder: Path, micrographs: "Collection | None") -> None:
    from nanorender.progress import progress
    from unet import presets
    from unet.train import describe_device, train
    from unet.validation import validation_images

    settings = presets.preset(preset)
    images = [] if micrographs is None else validation_images(micrographs)
    print(f"training on {describe_device()}, preset {preset}", file=sys.stderr)
    with progress("training") as show:
        train(dataset, settings, folder, images, lambda now: show(now.step, now.steps))


def _select(folder: Path, micrographs: "Collection", by: str) -> None:
    from unet.select import rank, select_epoch
    from unet.validation import validation_images

    ranked = rank(folder, validation_images(micrographs), by)
    for place in ranked[:5]:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in place.parts.items())
        print(f"epoch {place.epoch}: {place.score:.4f} ({parts})")
    print(select_epoch(folder, ranked[0].epoch))


def _segment(model: Path, micrographs: "Collection", folder: Path, averaged: bool) -> None:
    from nanorender.analysis.separate import Separation
    from nanorender.progress import progress
    from unet.segment import segment

    with progress("segmenting") as show:
        segment(model, micrographs, Separation(), folder, averaged, show)


def _write_report(labels: Path, results: "list[ImageResult]", folder: Path, title: str) -> Path:
    from nanorender.analysis.study import write_report

    return write_report(labels, results, folder, title, shlex.join(["nanorender", *sys.argv[1:]]))


def _finish(out: Path, truth: str | None, title: str) -> None:
    """Measure and report the label maps of a study, and print how they agree with the truth."""
    from nanorender.analysis.study import read_results, score_lines, write_table

    results = read_results(out / "labels", truth)
    write_table(results, out / "particles.csv")
    page = _write_report(out / "labels", results, out / "report", title)
    for line in score_lines(results):
        print(line)
    print(page)


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
