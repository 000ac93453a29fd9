"""Commands on datasets: verify, export."""

from pathlib import Path
from typing import Annotated

import typer

from nanorender.commands.collisions import Reads, refuse_collisions
from nanorender.commands.options import Out
from nanorender.commands.progress import counted, progress
from nanorender.provenance.record import recorded

app = typer.Typer()
PANEL = "Render"


@app.command(rich_help_panel=PANEL)
@refuse_collisions
def verify(
    dataset: Annotated[Path, typer.Argument(help="Folder written by 'generate'."), Reads()],
) -> None:
    """Check a dataset: files against their checksums, label maps against truth tables.

    Example: nanorender verify dataset
    """
    from nanorender.errors import InputError
    from nanorender.files.verify import verify

    with progress("verifying") as show:
        found = verify(dataset, show)
    print(*found.problems, sep="\n", end="\n" if found.problems else "")
    if found.problems:
        raise InputError(
            f"{dataset} has {len(found.problems)} problems in {found.samples} samples; delete the "
            "sums/*.sha256 of damaged samples and run 'generate' again to replace them"
        )
    print(f"{found.samples} samples are complete and agree with their truth tables")


@app.command(rich_help_panel=PANEL)
@refuse_collisions
@recorded("out")
def export(
    folder: Annotated[
        Path, typer.Argument(help="Folder written by 'generate' or 'segment'."), Reads()
    ],
    out: Out,
    layout: Annotated[
        str, typer.Option(help="Layout: coco, cellpose, stardist or nnunet.")
    ] = "coco",
) -> None:
    """Write images and label maps in the layout of another program.

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
