"""Commands of the network: train, select an epoch, segment micrographs."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from nanorender.commands.collisions import Reads, WritesFile, WritesFolder, refuse_collisions
from nanorender.commands.options import (
    Averaged,
    Crop,
    InPixels,
    Micrographs,
    MinConfidence,
    ModelFile,
    Out,
    PixelSize,
    Scheduler,
    SeparationFile,
    Truth,
    note,
    parse_reading,
    read_with_notes,
    report_failures,
)
from nanorender.commands.progress import progress
from nanorender.provenance.record import recorded
from unet.presets import PRESETS, SelectionCriterion

app = typer.Typer()
PANEL = "Learn"
Preset = Annotated[
    str,
    typer.Option(help=f"Training preset ({', '.join(PRESETS)}) or TOML file."),
    Reads(folders=False),
]
Run = Annotated[
    Path, typer.Argument(help="Run folder written by 'train'."), Reads(), WritesFolder()
]


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("out")
def train(
    dataset: Annotated[Path, typer.Argument(help="Dataset written by 'generate'."), Reads()],
    out: Out,
    preset: Preset = "cpu",
    validation: Annotated[
        Path | None, typer.Option(help="Micrographs to predict after each epoch."), Reads()
    ] = None,
    truth: Truth = None,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    mix: Annotated[
        Path | None,
        typer.Option(help="Annotated micrographs to add to the training images."),
        Reads(),
    ] = None,
    mix_truth: Annotated[
        str | None,
        typer.Option(help="Annotations of --mix, if other than --truth: suffix or folder."),
        Reads(),
    ] = None,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="Model to start from: run folder, model file, or 'general' for the general model."
        ),
        Reads(),
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(help="HOST:PORT of process 0, for training in several processes.")
    ] = None,
    process: Annotated[
        str, typer.Option(help="I/N: index of this process, from 0, and number of processes.")
    ] = "0/1",
) -> None:
    """Train a U-Net on synthetic images, or resume an interrupted training.

    Example: nanorender train dataset --validation micrographs -o run
    """
    from nanorender.execution.memory import keep_freed_memory
    from nanorender.models import general_model
    from unet import presets
    from unet.annotated import add_annotated
    from unet.data import load_dataset
    from unet.devices import describe_devices, divide_cpu, join, training_mesh, writes_files
    from unet.train import train
    from unet.validation import validation_images

    settings = presets.preset(preset)
    if initial == Path("general"):
        initial = general_model()
    keep_freed_memory()
    if coordinator is None:
        divide_cpu(settings.batch)
    else:
        join(coordinator, process)
    reading = parse_reading(pixel_size_nm, in_pixels, crop, truth)
    images = []
    if validation is not None:
        images = validation_images(read_with_notes(validation, reading))
    samples = load_dataset(dataset, settings)
    if mix is not None:
        reading = replace(reading, truth=truth if mix_truth is None else mix_truth)
        samples = add_annotated(samples, read_with_notes(mix, reading), settings)
    where = describe_devices(training_mesh(settings.batch))
    print(f"training on {where}, preset {preset}, {len(samples.sizes)} images", file=sys.stderr)
    with progress("training") as show:
        train(
            *(samples, settings, out, images),
            on_progress=lambda now: show(now.step, now.steps, str(now)),
            initial=initial,
        )
    if not writes_files():
        raise typer.Exit  # the first process writes the provenance record
    print(out)


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("run")
def select(
    run: Run,
    validation: Annotated[
        Path | None, typer.Option(help="Validation images of the training."), Reads()
    ] = None,
    truth: Truth = None,
    by: Annotated[
        SelectionCriterion, typer.Option(help="Score; all but label_free need annotations.")
    ] = "label_free",
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    page: Annotated[
        Path | None, typer.Option(help="HTML page to write for a choice by eye."), WritesFile()
    ] = None,
    choice: Annotated[
        list[Path] | None,
        typer.Option(help="Choice exported from the page; repeatable."),
        Reads(),
    ] = None,
) -> None:
    """Rank the epochs of a run on micrographs or by eye, and make the best one its model.

    Example: nanorender select run --validation micrographs --truth _m --by object_f1
    """
    from unet.choice import format_choices, read_choices, summarize_choices
    from unet.choice_page import write_choice_page
    from unet.select import (
        epoch_agreement,
        rank_by_truth,
        rank_without_truth,
        select_epoch,
    )
    from unet.validation import validation_images

    images = []
    if validation is not None:
        reading = parse_reading(pixel_size_nm, in_pixels, crop, truth)
        images = validation_images(read_with_notes(validation, reading))
    with progress("drawing" if page is not None else "ranking") as show:
        if page is not None:
            write_choice_page(page, run, images, show)
            print(page)
            raise typer.Exit  # the run is unchanged, and so is its provenance record
        if choice:
            scored = rank_by_truth(run, images, on_progress=show) if images and truth else []
            chosen = summarize_choices(run, read_choices(choice), scored)
            ranked, lines = chosen.ranked, format_choices(chosen, scored)
        else:
            if by == "label_free":
                ranked = rank_without_truth(run, images, show)
            else:
                ranked = rank_by_truth(run, images, by, on_progress=show)
            lines = [str(item) for item in ranked[:5]]
        best = ranked[0].epoch
        agreement = epoch_agreement(run, images, best)
    print(*lines, select_epoch(run, best, agreement), sep="\n")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("out")
def baseline(
    micrographs: Micrographs,
    out: Out,
    truth: Annotated[
        str, typer.Option(help="Annotations: suffix of file names, or folder."), Reads()
    ],
    preset: Preset = "real",
    pixel_size_nm: PixelSize = None,
    crop: Crop = None,
) -> None:
    """Train on annotated micrographs only, and score each with a network trained on the others.

    Example: nanorender baseline micrographs --truth _m -o baseline
    """
    from unet import presets
    from unet.baseline import format_folds, leave_one_out

    images = read_with_notes(micrographs, parse_reading(pixel_size_nm, crop=crop, truth=truth))
    with progress("training") as show:
        folds = leave_one_out(
            images,
            presets.preset(preset),
            out,
            lambda image, now: show(now.step, now.steps, f"without {image}, {now}"),
        )
    print(format_folds(folds), out, sep="\n")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("run")
def fit_confidence(
    run: Run,
    dataset: Annotated[
        Path,
        typer.Argument(help="Dataset of the training's recipe, but of another seed."),
        Reads(),
    ],
    averaged: Averaged = None,
    min_confidence: MinConfidence = None,
) -> None:
    """Fit the probability that a found particle is real, and the least that is kept by default.

    Example: nanorender fit-confidence run held-out
    """
    from unet.reliability import fit_model, format_fit

    with progress("predicting") as show:
        fit = fit_model(run, dataset, averaged, min_confidence, show)
    print(*format_fit(fit), run, sep="\n")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("out")
def segment(
    micrographs: Micrographs,
    out: Out,
    model: ModelFile = None,
    pixel_size_nm: PixelSize = None,
    in_pixels: InPixels = False,
    crop: Crop = None,
    truth: Truth = None,
    averaged: Averaged = None,
    min_confidence: MinConfidence = None,
    separation: SeparationFile = None,
    probability: Annotated[
        bool, typer.Option("--probability", help="Write probability images.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="Device, such as cpu, gpu or gpu:1.")] = None,
    scheduler: Scheduler = None,
) -> None:
    """Segment micrographs into label maps; existing ones are kept.

    Without --model, the general model finds particles of any kind.

    Example: nanorender segment micrographs -o labels
    """
    from nanorender.files.collection import find_collection
    from nanorender.models import general_model
    from nanorender.separation.separate import Separation
    from unet.devices import use_device
    from unet.segment import PredictionSettings, segment

    if device is not None:
        use_device(device)
    images = find_collection(micrographs, parse_reading(pixel_size_nm, in_pixels, crop, truth))
    settings = Separation() if separation is None else Separation.read(separation)
    prediction = PredictionSettings(averaged, probability, min_confidence)
    with progress("segmenting") as show:
        segmented = segment(
            model or general_model(), images, settings, out, prediction, scheduler, show
        )
    for line in (*images.notes, *segmented.notes, *segmented.doubts):
        note(line)
    report_failures(segmented.failures, len(images), "micrographs")
    print(out)
