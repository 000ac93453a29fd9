"""Object F1 on annotated micrographs before and after `nanorender adapt`.

    python benchmarks/adaptation.py --micrographs FOLDER -o FOLDER

Adaptation itself sees no annotation. Run again, the benchmark resumes.
"""

import argparse
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from general_model import SETS
from results import write_results

from cli import adapt
from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.collection import Reading, find_collection
from nanorender.models import general_model
from nanorender.scoring.scores import score_labels
from unet.adapt import ADAPTATION, Adaptation
from unet.checkpoint import MODEL_NAME
from unet.devices import divide_cpu
from unet.predict import load_model
from unet.presets import PRESETS
from unet.segment import segment_image


class Case(NamedTuple):
    """Micrographs of one kind.

    Attributes
    ----------
    name : of its folders
    title : in the table
    folder : of the micrographs
    truth : suffix of the annotations
    recipe : that twins begin with
    images : names of the micrographs; empty for all of the folder
    """

    name: str
    title: str
    folder: str
    truth: str
    recipe: str
    images: tuple[str, ...] = ()


SEEDS = 3
"""Number of adaptations to each set."""

RECIPES = {"tio2_sem": "tio2", "sio2_jeol": "layers", "powder_spheres_sem": "powder"}
"""Recipe of each set of one sample."""

_GROUPS = (
    ("dots", "dots, TEM", "gold", "0289bd97e6 1ecd5c901c a3eb38c236 fe9791f122"),
    ("discs", "discs, TEM", "gold", "173c98ef82 406975041a 6643f01cf4 97e645b56e a45586af89"),
    ("spheres", "spheres, TEM", "magnetite", "36de69b2c0 404b0836f1 4545280c2b b16f4f83a4"),
    ("crystals", "crystals, TEM", "nanocrystals", "4822787326 77f09d7ca4 bf57480a38"),
    ("sheets", "sheets of spheres, SEM", "layers", "a9a628444d b78f5fdc22 c1d32ab54d cd22803960"),
    ("clusters", "clusters, SEM", "sio2", "6169a602a0 9c29ca7edf ce39bb3c03 f659af19da"),
)
"""Similar images of EMPS: name, title, recipe, images."""

CASES = (
    *(
        Case(each.folder, each.title, each.folder, each.truth, RECIPES[each.folder])
        for each in SETS
        if each.folder in RECIPES
    ),
    *(
        Case(f"emps-{name}", f"EMPS, {title}", "emps", "_m", recipe, tuple(images.split()))
        for name, title, recipe, images in _GROUPS
    ),
)


def main() -> None:
    """Adapt to each set with each seed, and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--micrographs", type=Path, default=Path("micrographs"))
    parser.add_argument("-o", "--out", type=Path, default=Path("adaptation"))
    parser.add_argument("--cases", help="names separated by commas, to print their scores alone")
    options = parser.parse_args()
    asked = options.cases.split(",") if options.cases else ()
    options.out.mkdir(parents=True, exist_ok=True)
    divide_cpu(PRESETS["adapt"].batch)  # as the command does, before anything is computed
    rows = []
    for case in CASES:
        if (asked and case.name not in asked) or not (options.micrographs / case.folder).is_dir():
            continue
        folder = chosen(options.micrographs / case.folder, case, options.out)
        images = find_collection(folder, Reading(truth=case.truth, scale_needed=False))
        before = object_f1(general_model(), images)
        for seed in range(SEEDS):
            path = options.out / f"{case.name}-{seed}.json"
            if not path.is_file():
                row = adapted(images, case.recipe, seed, path.with_suffix(""))
                row |= {"title": case.title, "f1_before": before}
                write_text(path, json.dumps(row))
            rows.append(json.loads(path.read_text(encoding="utf-8")))
            print(rows[-1], flush=True)
    if not asked:
        print(write_results("adaptation", {"rows": rows}))


def chosen(folder: Path, case: Case, out: Path) -> Path:
    """Return a folder of links to the chosen micrographs and their annotations."""
    if not case.images:
        return folder
    links = out / f"{case.name}-chosen"
    links.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir()):
        is_chosen = path.stem.removesuffix(case.truth) in case.images
        if is_chosen and not (links / path.name).exists():
            (links / path.name).symlink_to(path.resolve())
    return links


def adapted(images, recipe: str, seed: int, folder: Path) -> dict:
    """Adapt the general model to micrographs; a refusal leaves it as it is."""
    row = {"recipe": recipe, "seed": seed, "images": len(images)}
    # The command sees the micrographs alone, not their annotations.
    links = folder.with_name(f"{folder.name}-micrographs")
    links.mkdir(exist_ok=True)
    for path in images.paths:
        if not (links / path.name).exists():
            (links / path.name).symlink_to(path.resolve())
    known = all(image.pixel_size_nm is not None for image in images)
    began = os.times()
    try:
        adapt(links, folder, recipe, in_pixels=not known, seed=seed)
    except InputError as error:
        return row | {"refusal": str(error), "f1_after": object_f1(general_model(), images)}
    ended = os.times()
    outcome = Adaptation.model_validate_json((folder / ADAPTATION).read_text(encoding="utf-8"))
    return row | {
        "kept": outcome.kept,
        "twins_before": float(np.mean(outcome.f1_before)),
        "twins_after": float(np.mean(outcome.f1_after)),
        "repeatability_before": outcome.repeatability_before,
        "repeatability_after": outcome.repeatability_after,
        "cpu_s": sum(ended[:4]) - sum(began[:4]),
        "f1_after": object_f1(folder / MODEL_NAME, images),
    }


def object_f1(model_path: Path, images) -> float:
    """Mean object F1 over annotated micrographs."""
    model = load_model(model_path)
    return float(
        np.mean(
            [
                score_labels(
                    segment_image(each.image, model=model).labels, images.truth(each)
                ).objects.f1
                for each in images
            ]
        )
    )


if __name__ == "__main__":
    main()
