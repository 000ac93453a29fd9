"""Command line: the entry point and the commands that combine several stages."""

import codecs
import io
import json
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

import nanorender.commands.analysis
import nanorender.commands.calibration
import nanorender.commands.datasets
import nanorender.commands.rendering
import unet.commands
from nanorender import __version__
from nanorender.commands.analysis import measure, report
from nanorender.commands.collisions import Reads, WritesFile, WritesFolder, refuse_collisions
from nanorender.commands.datasets import export
from nanorender.commands.options import (
    CORES,
    RECIPE_HELP,
    AsJson,
    Averaged,
    Count,
    Crop,
    DarkParticles,
    InPixels,
    Micrographs,
    MinConfidence,
    ModelFile,
    OutFolder,
    PixelSize,
    PixelSizeUncertainty,
    Seed,
    SeparationFile,
    Truth,
    Workers,
    note,
    parse_reading,
    read_with_notes,
)
from nanorender.commands.progress import progress
from nanorender.commands.rendering import generate
from nanorender.errors import InputError, UnwritableError
from nanorender.execution.signals import INTERRUPTS
from nanorender.measuring.sizes import SizeName
from nanorender.provenance.record import recorded
from nanorender.statistics.frame import FrameRuleName
from unet.commands import Preset, fit_confidence, segment, select, train

if TYPE_CHECKING:
    from nanorender.files.collection import Reading

TwinRecipe = Annotated[
    str,
    typer.Option(help=f"{RECIPE_HELP} 'any' is the preset that fits best."),
    Reads(folders=False),
]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Render synthetic nanoparticle micrographs with exact labels, train a U-Net on them, and "
    "measure the particles in real micrographs.",
)
app.add_typer(nanorender.commands.rendering.app)
app.add_typer(nanorender.commands.datasets.app)
app.add_typer(nanorender.commands.calibration.app)
app.add_typer(unet.commands.app)
app.add_typer(nanorender.commands.analysis.app)


def _print_version(asked: bool) -> None:
    """Print the version and exit, if asked."""
    if asked:
        print(f"nanorender {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options of the program itself."""


@app.command(rich_help_panel="All stages")
@refuse_collisions
@recorded("out")
def run(
    micrographs: Micrographs,
    out: Annotated[
        OutFolder,
        WritesFolder((".", "labels", "adapted", "twins", "report"), replaced=("report",)),
    ],
    model: ModelFile = None,
    recipe: Annotated[
        str | None,
        typer.Option(help=f"Train a network on this recipe instead. {RECIPE_HELP}"),
        Reads(folders=False),
    ] = None,
    count: Count = 320,
    seed: Seed = 0,
    preset: Preset = "cpu",
    workers: Workers = CORES,
    truth: Truth = None,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    averaged: Averaged = None,
    min_confidence: MinConfidence = None,
    separation: SeparationFile = None,
    pixel_size_uncertainty: PixelSizeUncertainty = None,
    frame: Annotated[
        FrameRuleName, typer.Option(help="Rule for particles cut by the frame.")
    ] = "keep",
    adapt_recipe: Annotated[
        str | None,
        typer.Option(
            "--adapt",
            help=f"Adapt the model to the micrographs by twins of a recipe first. {RECIPE_HELP} "
            "'any' is the preset that fits best.",
        ),
        Reads(folders=False),
    ] = None,
    twin_recipe: Annotated[
        str | None,
        typer.Option(
            "--twins",
            help=f"Correct the sizes by twins of a recipe. {RECIPE_HELP} "
            "'any' is the preset that fits best.",
        ),
        Reads(folders=False),
    ] = None,
) -> None:
    """Run all stages from micrographs to the report; run again to resume.

    The general model segments the micrographs. With --recipe, synthetic images of that recipe are
    generated first, and a network is trained on them. With --adapt, the general model is adapted,
    and with --twins, the sizes are corrected, too.

    Example: nanorender run micrographs -o study
    """
    from nanorender.calibration.bases import ANY
    from nanorender.recipe import read_recipe

    if model is not None and recipe is not None:
        raise InputError("--model and --recipe exclude each other; give one of them")
    if adapt_recipe is not None and recipe is not None:
        raise InputError("--adapt and --recipe exclude each other; give one of them")
    for name in (adapt_recipe, twin_recipe):
        if name not in (None, ANY):
            read_recipe(name)  # refused before any work
    reading = {"pixel_size_nm": pixel_size_nm, "in_pixels": in_pixels, "crop": crop}
    if recipe is not None:
        model = out / "run"
        scale_nm = _scale_nm(micrographs, parse_reading(**reading, truth=truth), recipe)
        generate(recipe, out / "dataset", count, seed, workers, scale_nm)
        train(out / "dataset", model, preset, validation=micrographs, truth=truth, **reading)
        select(model, validation=micrographs, truth=truth, **reading)
    choices = {
        "truth": truth,
        "averaged": averaged,
        "min_confidence": min_confidence,
        "separation": separation,
    }
    refusals = []
    if adapt_recipe is not None:
        try:
            adapt(
                micrographs, out / "adapted", adapt_recipe, model, **reading, **choices, seed=seed
            )
            model = out / "adapted"
        except UnwritableError:
            raise
        except InputError as error:  # the study by the model as it is is still of use
            refusals.append(f"the model is not adapted: {error}")
    labels = out / "labels"
    segment(micrographs, labels, model, **reading, **choices)
    measure(labels, out / "particles.csv", pixel_size_uncertainty=pixel_size_uncertainty)
    twin_folder = None
    if twin_recipe is not None:
        try:
            twins(labels, out / "twins", twin_recipe, model)
            twin_folder = out / "twins"
        except InputError as error:  # the report without corrections is still of use
            refusals.append(f"sizes are not corrected: {error}")
    report(
        labels,
        out / "report",
        truth,
        title=f"Particles of {micrographs}",
        frame=frame,
        pixel_size_uncertainty=pixel_size_uncertainty,
        twins=twin_folder,
    )
    if refusals:
        raise InputError(f"the report is written, but {'; '.join(refusals)}")


@app.command(rich_help_panel="All stages")
@refuse_collisions
@recorded("out")
def twins(
    labels: Annotated[Path, typer.Argument(help="Folder written by 'segment'."), Reads()],
    out: Annotated[OutFolder, WritesFolder()],
    recipe: TwinRecipe = "any",
    model: ModelFile = None,
    count: Annotated[int, typer.Option("-n", "--count", min=8, help="Number of twins.")] = 32,
    size: Annotated[SizeName, typer.Option(help="Measurement used as particle size.")] = (
        "equivalent_diameter"
    ),
    dark_particles: DarkParticles = False,
    seed: Seed = 0,
) -> None:
    """Correct sizes by twins: synthetic images like the micrographs, segmented likewise.

    Example: nanorender twins labels -o twins
    """
    from nanorender.calibration.bases import ANY
    from nanorender.correction.correction_table import format_corrections, write_corrections
    from nanorender.correction.study import correct_study
    from nanorender.models import general_model
    from nanorender.twins.study import read_study
    from nanorender.twins.twins import TwinSettings, choose_base, make_twins
    from unet.segment import segment_as_recorded

    study = read_study(labels)
    find = segment_as_recorded(model or general_model(), study.record)
    settings = TwinSettings(
        count=count, seed=seed, dark_particles=dark_particles, base_chosen=recipe == ANY
    )
    if recipe == ANY:
        with progress("choosing the recipe") as show:
            recipe = choose_base(study, settings, out, show)
        note(f"twins begin with the recipe {recipe}")
    with progress("twins") as show:
        record = make_twins(study, recipe, settings, find, out, show)
        corrected = correct_study(out, study.labels_sha256, study.tables, size)
    for line in record.notes:
        note(line)
    write_corrections(out, corrected)
    print(*format_corrections(corrected), out, sep="\n")


@app.command(rich_help_panel="All stages")
@refuse_collisions
@recorded("out")
def adapt(
    micrographs: Micrographs,
    out: Annotated[
        OutFolder, WritesFolder((".", "labels", "twins", "training"), replaced=("training",))
    ],
    recipe: TwinRecipe = "any",
    model: ModelFile = None,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    truth: Truth = None,
    averaged: Averaged = None,
    min_confidence: MinConfidence = None,
    separation: SeparationFile = None,
    dark_particles: DarkParticles = False,
    seed: Seed = 0,
) -> None:
    """Adapt the general model to micrographs, by training on twins of them for some minutes.

    The output folder can be given as --model. It holds the adapted model if that one scores higher
    on twins that it was not trained on, and the earlier model otherwise.

    Example: nanorender adapt micrographs --recipe mine.toml -o run
    """
    from nanorender.calibration.bases import ANY
    from nanorender.execution.memory import keep_freed_memory
    from nanorender.files.collection import find_collection
    from nanorender.models import general_model
    from nanorender.recipe import read_recipe
    from nanorender.twins.study import read_study
    from nanorender.twins.twins import (
        TwinSettings,
        choose_base,
        make_twins,
        render_further_twins,
        written_twins,
    )
    from unet.adapt import CHECKED_TWINS, LEARNED_TWINS, TwinSet, check_adaptable
    from unet.adapt import adapt as adapt_model
    from unet.checkpoint import model_file
    from unet.devices import divide_cpu
    from unet.presets import PRESETS
    from unet.segment import segment_as_recorded

    # Refuse what cannot be adapted before any work.
    initial = general_model() if model is None else model_file(model)
    check_adaptable(initial, out)
    if recipe != ANY:
        read_recipe(recipe)
    keep_freed_memory()
    divide_cpu(PRESETS["adapt"].batch)

    # Segment the micrographs, and make twins of what was found.
    labels, folder = out / "labels", out / "twins"
    segment(
        micrographs,
        labels,
        model,
        pixel_size_nm,
        in_pixels,
        crop,
        truth,
        averaged,
        min_confidence,
        separation,
    )
    study = read_study(labels)
    images = find_collection(micrographs, parse_reading(truth=truth)).paths
    if others := set(study.names) - {path.stem for path in images}:
        raise InputError(
            f"{labels} has label maps of other micrographs, such as {min(others)}; choose a new "
            "folder"
        )
    settings = TwinSettings(
        count=CHECKED_TWINS,
        rounds=1,
        seed=seed,
        dark_particles=dark_particles,
        base_chosen=recipe == ANY,
    )
    if recipe == ANY:
        with progress("choosing the recipe") as show:
            recipe = choose_base(study, settings, folder, show)
        note(f"twins begin with the recipe {recipe}")
    with progress("twins") as show:
        find = segment_as_recorded(initial, study.record)
        record = make_twins(study, recipe, settings, find, folder, show)
    for line in record.notes:
        note(line)

    # Train, and keep the better model.
    twins = TwinSet(
        render_further_twins(folder, LEARNED_TWINS),
        LEARNED_TWINS,
        list(written_twins(folder)),
        record.relative_loss,
    )
    with progress("adapting") as show:
        adaptation = adapt_model(
            initial,
            twins,
            study.micrographs,
            study.record,
            out,
            seed,
            lambda now: show(now.step, now.steps, str(now)),
        )
    print(adaptation, out, sep="\n")


def _scale_nm(micrographs: Path, reading: "Reading", recipe: str) -> float:
    """Find the pixel size at which synthetic images of a recipe resemble micrographs."""
    from nanorender.calibration.calibrate import assumed_pixel_size_nm
    from nanorender.recipe import read_recipe

    settings = read_recipe(recipe)
    images = read_with_notes(micrographs, reading)
    dark = settings.has_dark_particles
    return images.pixel_size_nm or assumed_pixel_size_nm(images, settings, dark)


@app.command(rich_help_panel="All stages")
@refuse_collisions
@recorded("out")
def demo(
    out: Annotated[Path, typer.Argument(help="Output folder."), WritesFolder()] = Path("demo"),
    workers: Workers = CORES,
) -> None:
    """Run all stages on synthetic images, without any input.

    Example: nanorender demo
    """
    scale_nm, unseen, labels = 7.0, out / "unseen", out / "labels"
    generate("tio2", out / "dataset", 80, 0, workers, scale_nm, 384)
    train(out / "dataset", out / "run", "demo")
    generate("tio2", unseen, 4, 1, workers, scale_nm, 768)
    segment(unseen / "images", labels, out / "run")
    measure(labels, out / "particles.csv")
    title = "Synthetic TiO2 not used in training"
    report(labels, out / "report", str(unseen / "labels"), title)


@app.command(rich_help_panel="Trust")
@refuse_collisions
def bench(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Presets; all if omitted."), Reads(folders=False)
    ] = None,
    count: Count = 10,
    network: Annotated[
        bool, typer.Option(help="Also measure training and prediction on the device at hand.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Measure the speed of renderer and network on this machine.

    Example: nanorender bench tio2 --json
    """
    from nanorender.bench import as_text, bench_images
    from nanorender.bench import bench as bench_rendering
    from nanorender.recipes import preset_names

    measured = bench_rendering(recipes or preset_names(), count)
    lines = [as_text(measured)]
    if network:
        from unet.bench import bench_network, format_bench

        speed = bench_network(bench_images(512, 2), bench_images(1024, 1)[0].image)
        measured |= speed
        lines += format_bench(speed)
    print(json.dumps(measured, indent=1) if as_json else "\n".join(lines))


@app.command(rich_help_panel="Trust")
@refuse_collisions
def compare(
    real: Annotated[Path, typer.Argument(help="Folder of real images, or one of them."), Reads()],
    synthetic: Annotated[
        Path,
        typer.Argument(help="Dataset written by 'generate', folder of images, or one image."),
        Reads(),
    ],
    worst: Annotated[
        Path | None,
        typer.Option(help="PNG file for the most easily distinguished patches."),
        WritesFile(),
    ] = None,
    embedding: Annotated[
        Path | None,
        typer.Option(
            help="PNG file of 144 x 144 patches arranged by features of a neural network (PCA, "
            "t-SNE); their coordinates are written to a CSV file of the same name. Needs "
            "the extra 'similarity' or --model."
        ),
        WritesFile(also=(".csv",)),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Compute the features with this U-Net (run folder or model file)."),
        Reads(),
    ] = None,
    count: Annotated[
        int,
        typer.Option("-n", "--count", min=5, help="Maximum number of patches to embed per set."),
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the embedding.")] = 0,
    dark_particles: DarkParticles = False,
    crop: Crop = None,
) -> None:
    """Measure the similarity of real and synthetic images by loss terms and patch classifiers.

    Example: nanorender compare micrographs dataset --worst worst.png --embedding embedding.png
    """
    from nanorender.calibration.fitted_recipe import require_suffix
    from nanorender.calibration.views import RENDERED_WHITE, gray_levels, white_level
    from nanorender.comparison.compare import (
        compare_images,
        comparison_lines,
        write_worst_patches,
    )
    from nanorender.comparison.embedding import embed_images, note_on_scale, write_embedding
    from nanorender.files.collection import micrographs_on_demand
    from nanorender.files.ondemand import ReadOnDemand
    from nanorender.files.scalebars.marks import scale_by_bar

    for path in (worst, embedding):
        if path is not None:
            require_suffix(path, ".png")
    if model is not None and embedding is None:
        raise InputError("--model needs --embedding; give the PNG file to write")
    folder = synthetic / "images" if (synthetic / "images").is_dir() else synthetic
    ours = micrographs_on_demand(folder, parse_reading())
    theirs = micrographs_on_demand(real, parse_reading(crop=crop))
    differing = note_on_scale(scale_by_bar(theirs[0]), scale_by_bar(ours[0]))
    if differing is not None:
        note(differing)
    with progress("comparing"):
        found = compare_images(
            ReadOnDemand(theirs, partial(gray_levels, white=white_level(theirs))),
            ReadOnDemand(ours, partial(gray_levels, white=RENDERED_WHITE)),
            dark_particles,
        )
    print(*comparison_lines(found), sep="\n")
    if embedding is not None:
        from unet.features import feature_extractor

        with progress("embedding"):
            embedded = embed_images(theirs, ours, feature_extractor(model), count, seed)
            write_embedding(embedded, embedding)
        print(embedded, embedding, sep="\n")
    if worst is not None:
        write_worst_patches(found, worst)
        print(worst)


REPRODUCIBLE = {
    command.__name__: command
    for command in (
        generate,
        export,
        train,
        select,
        fit_confidence,
        segment,
        adapt,
        twins,
        report,
        run,
        demo,
    )
}


@app.command(rich_help_panel="Trust")
@refuse_collisions
def reproduce(
    folder: Annotated[Path, typer.Argument(help="Folder written by a command."), Reads()],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="New folder in which the reproduced files are kept."),
        WritesFolder(),
    ] = None,
) -> None:
    """Reproduce an output folder from its provenance record, and compare all files.

    Example: nanorender reproduce study
    """
    from tempfile import TemporaryDirectory

    from nanorender.provenance.reproduce import reproduce

    if out is not None and out.exists():
        raise InputError(f"{out} already exists; give a new folder")
    with TemporaryDirectory() as temporary:
        found = reproduce(folder, out or Path(temporary) / "again", REPRODUCIBLE)
    if found:
        print(*found, sep="\n")
        raise InputError(f"{folder} was not reproduced: {len(found)} differences, listed above")
    print(f"{folder} was reproduced; all files are identical")


@app.command(rich_help_panel="Trust")
@refuse_collisions
def doctor() -> None:
    """Describe this machine, and run a self-test of about 5 seconds.

    Example: nanorender doctor
    """
    from nanorender.doctor import describe_machine, self_test
    from nanorender.models import general_model
    from unet.checkpoint import describe_model
    from unet.devices import all_devices, describe_devices

    for name, value in describe_machine():
        print(f"{name:<9} {value}")
    print(f"{'devices':<9} {describe_devices(all_devices())}")
    print(f"{'model':<9} {describe_model(general_model())}", flush=True)
    print(f"{'self-test':<9} {self_test()}")


INTERRUPTED = 130
"""Exit code of an interrupted program: 128 plus the number of the signal."""


def _interrupt(*_: object) -> NoReturn:
    """Handle a signal as an interrupt from the keyboard."""
    raise KeyboardInterrupt


def _escape_unprintable() -> None:
    """Escape characters that standard output cannot encode, as in a pipe on Windows."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and codecs.lookup(out.encoding).name != "utf-8":
        out.reconfigure(errors="backslashreplace")


def _refuse(error: InputError) -> NoReturn:
    """Print the error and exit."""
    print(f"nanorender: {error}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Run the command line.

    Invalid input, errors of the operating system and lack of memory exit with code 2 and one line,
    interrupts (including SIGTERM from a batch system) with code 130.
    """
    for number in INTERRUPTS:
        if number != signal.SIGINT:  # which Python handles
            signal.signal(number, _interrupt)
    _escape_unprintable()
    try:
        app()
    except InputError as error:
        _refuse(error)
    except OSError as error:
        named = "" if error.filename is None else f"{error.filename}: "
        _refuse(InputError(f"{named}{error.strerror or error}"))
    except UnicodeEncodeError as error:
        _refuse(InputError(f"{error.object} is not UTF-8; rename it"))
    except (MemoryError, RuntimeError) as error:
        # JAX reports lack of memory as a RuntimeError.
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _refuse(InputError(f"out of memory ({error}); use smaller images or batches"))
    except SystemExit as left:
        if left.code == INTERRUPTED:  # set by Typer, without a message
            print("nanorender: interrupted; run the command again to resume", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
