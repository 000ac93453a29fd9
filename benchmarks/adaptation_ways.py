"""Object F1 on annotated micrographs after adapting the general model in each possible way.

    python benchmarks/adaptation_ways.py --micrographs FOLDER -o FOLDER

The ways are the statistics of batch normalization, a training on twins (which is what `nanorender
adapt` does), a training on the micrographs with the particles that were found in them (self-
training), and all three together. Every model is scored, whether or not `adapt` would keep it. The
folder may be that of benchmarks/adaptation.py, whose twins and trainings are then used. Run again,
the benchmark resumes; with `--finished`, it writes what was measured so far.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice, product
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from adaptation import CASES, SEEDS, adapted, chosen, object_f1
from flax import nnx
from results import write_results

from nanorender.execution.memory import keep_freed_memory
from nanorender.files.atomic import write_text
from nanorender.files.collection import Reading, find_collection
from nanorender.files.labeled import LabeledImage
from nanorender.files.segmentation import find_label_maps, read_segmented
from nanorender.models import general_model
from nanorender.twins.study import read_study
from nanorender.twins.twins import render_further_twins
from unet.adapt import LEARNED_TWINS, adaptation_settings
from unet.checkpoint import MODEL_NAME, read_model, write_model
from unet.data import samples_of_any_size
from unet.devices import divide_cpu
from unet.model import abstract_model, get_weights, set_weights
from unet.predict import load_model, prepare_search
from unet.presets import PRESETS
from unet.train import train

MEASURED = ("tio2_sem", "powder_spheres_sem", "emps-dots", "sio2_jeol")
SHARE = 0.3
"""Share of the micrographs' own statistics."""

MOMENTUM = 0.9
"""Of the running statistics, see `unet.model`."""


def with_statistics(model: Path, study, path: Path) -> Path:
    """Write a model whose batch normalization has a share of the statistics of the micrographs."""
    card, before = read_model(model)
    network = set_weights(abstract_model(card.training.architecture), before)
    network.train()
    graph, state = nnx.split(network)

    @nnx.jit
    def update(state, pixels):
        network = nnx.merge(graph, state)
        network(pixels)
        return nnx.state(network)

    passes = 0
    grid = card.training.architecture.coarsest_px
    loaded = load_model(model)
    for micrograph in islice(study.micrographs, 10):
        for prepared in prepare_search(loaded, micrograph.image, micrograph.pixel_size_nm):
            height, width = (edge // grid * grid for edge in prepared.equalized.shape)
            if min(height, width) < 4 * grid:
                continue
            pixels = prepared.equalized[None, :height, :width, None].astype(np.float32) / 255
            state = update(state, jnp.asarray(pixels))
            passes += 1
    kept = MOMENTUM**passes  # share of the statistics before in the running ones
    after = get_weights(state)
    mixed = {}
    for name, value in before.items():
        own = (after[name] - kept * value) / (1 - kept)
        is_statistic = name.rsplit("/")[-1] in ("mean", "var")
        mixed[name] = value + SHARE * (own - value) * is_statistic
    write_model(path, card, mixed)
    return path


def found(labels: Path, times: int) -> Iterator[LabeledImage]:
    """Yield the micrographs with the particles found in them, several times."""
    for path in times * find_label_maps(labels):
        values, micrograph, *_ = read_segmented(path)
        yield LabeledImage(micrograph.image, values, micrograph.pixel_size_nm, path)


def trained(images: Iterable[LabeledImage], count: int, seed: int, folder: Path) -> Path:
    """Train the general model further, and return the model with its earlier confidences."""
    card, _ = read_model(general_model())
    settings = adaptation_settings(card.training, seed)
    samples = samples_of_any_size(images, count, settings)
    train(samples, settings, folder, initial=general_model())
    own, weights = read_model(folder / MODEL_NAME)
    path = folder / "adapted.safetensors"
    write_model(path, own.model_copy(update={"confidence": card.confidence}), weights)
    return path


def models(case, images, seed: int, out: Path) -> Iterator[tuple[str, Path]]:
    """Make the models of all ways for one seed."""
    folder = out / f"{case.name}-{seed}"
    if not (folder / "twins").is_dir():
        adapted(images, case.recipe, seed, folder)
    study = read_study(folder / "labels")
    ways = out / f"{case.name}-{seed}-ways"
    ways.mkdir(exist_ok=True)
    yield "statistics", with_statistics(general_model(), study, ways / "statistics.safetensors")
    by_twins = folder / "training" / "adapted.safetensors"
    if not by_twins.is_file():
        twins = render_further_twins(folder / "twins", LEARNED_TWINS)
        by_twins = trained(twins, LEARNED_TWINS, seed, ways / "twins")
    yield "twins", by_twins
    times = -(-LEARNED_TWINS // len(study.micrographs))
    count = times * len(study.micrographs)
    by_itself = trained(found(folder / "labels", times), count, seed, ways / "itself")
    yield "itself", by_itself
    both = chain(
        render_further_twins(folder / "twins", LEARNED_TWINS), found(folder / "labels", times)
    )
    together = trained(both, LEARNED_TWINS + count, seed, ways / "together")
    path = with_statistics(together, study, ways / "together.safetensors")
    yield "all three", path


def main() -> None:
    """Adapt to each set with each seed in each way, and write the scores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--micrographs", type=Path, default=Path("micrographs"))
    parser.add_argument("-o", "--out", type=Path, default=Path("adaptation"))
    parser.add_argument("--finished", action="store_true", help="write what was measured so far")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    divide_cpu(PRESETS["adapt"].batch)  # as the command does, before anything is computed
    rows = []
    for seed, case in product(range(SEEDS), (each for each in CASES if each.name in MEASURED)):
        path = options.out / f"{case.name}-{seed}-ways.json"
        if options.finished and not path.is_file():
            continue
        if not path.is_file():
            folder = chosen(options.micrographs / case.folder, case, options.out)
            images = find_collection(folder, Reading(truth=case.truth, scale_needed=False))
            row = {"title": case.title, "images": len(images), "seed": seed}
            row["before"] = object_f1(general_model(), images)
            for way, model in models(case, images, seed, options.out):
                row[way] = object_f1(model, images)
                print(case.name, seed, way, row[way], flush=True)
            write_text(path, json.dumps(row))
        rows.append(json.loads(path.read_text(encoding="utf-8")))
        print(rows[-1], flush=True)
    print(write_results("adaptation_ways", {"share": SHARE, "rows": rows}))


if __name__ == "__main__":
    main()
