"""Object F1 on annotated micrographs before and after `nanorender adapt`, three seeds each.

    python benchmarks/adaptation.py --micrographs FOLDER -o FOLDER

Adaptation itself sees no annotation. Run again, the benchmark resumes.
"""

import argparse
import json
import os
from pathlib import Path

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

RECIPES = {"tio2_sem": "tio2", "sio2_jeol": "layers", "powder_spheres_sem": "powder"}
"""Recipe of each set of micrographs that twins begin with."""


def main() -> None:
    """Adapt to each set with each seed, and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--micrographs", type=Path, default=Path("micrographs"))
    parser.add_argument("-o", "--out", type=Path, default=Path("adaptation"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    divide_cpu(PRESETS["adapt"].batch)  # as the command does, before anything is computed
    rows = []
    for each in SETS:
        if each.folder not in RECIPES or not (options.micrographs / each.folder).is_dir():
            continue
        reading = Reading(truth=each.truth, scale_needed=False)
        images = find_collection(options.micrographs / each.folder, reading)
        before = object_f1(general_model(), images)
        for seed in range(options.seeds):
            path = options.out / f"{each.folder}-{seed}.json"
            if not path.is_file():
                row = adapted(images, RECIPES[each.folder], seed, path.with_suffix(""))
                row |= {"title": each.title, "f1_before": before}
                write_text(path, json.dumps(row))
            rows.append(json.loads(path.read_text(encoding="utf-8")))
            print(rows[-1], flush=True)
    print(write_results("adaptation", {"rows": rows}))


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
