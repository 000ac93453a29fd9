"""Datasets from a recipe: every sample once, on all cores, whatever is killed meanwhile."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from nanorender.errors import InputError
from nanorender.execution.cluster import check_cluster
from nanorender.execution.workers import run_tasks
from nanorender.files.atomic import PART_PREFIX
from nanorender.files.dataset import (
    MOST_SAMPLES,
    DatasetInfo,
    complete_samples,
    create_dataset,
    write_sample,
)
from nanorender.outputs import compute_outputs
from nanorender.randomization import RandomizedRecipe, parse_recipe_source
from nanorender.recipe import Recipe
from nanorender.render import render
from nanorender.scenes.scene import sample_scene

WHOLE = (1, 1)
"""The shard that is everything."""


def generate(
    recipe: Recipe | RandomizedRecipe,
    count: int,
    seed: int,
    folder: Path,
    *,
    workers: int,
    shard: tuple[int, int] = WHOLE,
    scheduler: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetInfo:
    """Make the samples that a dataset folder lacks of `count`.

    The files are the same for any number of workers, any sharding and any interruption.

    Parameters
    ----------
    recipe, seed
        What sample i is drawn from; those of an existing dataset must be the same.
    count
        How many samples there are to be in all.
    folder
        New, empty, or a dataset to go on with.
    workers
        Processes; 1 stays in this one.
    shard
        (i, n): every n-th sample from the i-th, i from 1, for a job array on one folder.
    scheduler
        Address of a Dask cluster, whose workers see the folder under the same path and make the
        samples in the stead of this machine's.
    on_progress
        Is called with how many of this shard's samples are whole, and how many there are to be.

    Raises
    ------
    InputError
        If the folder holds something else, another process generates into it, the disk is full or
        read-only, no cluster answers, or the recipe cannot be rendered.
    """
    number, of = _possible(shard)
    if count < 0 or seed < 0 or workers < 1:
        raise InputError(
            f"count (={count}) and seed (={seed}) must not be negative, workers (={workers}) not "
            "below 1"
        )
    if count > MOST_SAMPLES:
        raise InputError(
            f"count (={count}) is more than the {MOST_SAMPLES} samples that a folder may hold; "
            "make several folders, each with a seed of its own"
        )
    text = recipe.to_toml()
    if not (folder / "dataset.json").is_file():
        # What no sample can be made of, or by, is refused before there are any files.
        if scheduler is not None:
            check_cluster(scheduler)
        sample_scene(
            _recipe(text).for_sample(seed, 0), np.random.default_rng([seed, 0]).spawn(1)[0]
        )
        create_dataset(folder, recipe.description, text, seed, count)
    with _locked(folder, shard):
        # Whoever came second when two processes began at once, or wants more samples, sees here
        # what there is.
        info = create_dataset(folder, recipe.description, text, seed, count)
        _remove_torn_files(folder, shard)
        wanted = range(number - 1, count, of)
        missing = sorted(set(wanted).difference(complete_samples(folder)))
        done = len(wanted) - len(missing)
        on_progress(done, len(wanted))
        work = partial(make_sample, text, seed, folder.resolve())
        # The first sample compiles the kernels, if need be, into the cache that all then load.
        alone = 1 if scheduler is None else 0
        for tasks, crew in ((missing[:alone], 1), (missing[alone:], workers)):
            for _ in run_tasks(work, tasks, crew, scheduler):
                done += 1
                on_progress(done, len(wanted))
        _remove_torn_files(folder, shard)  # of workers that were killed, whose samples others made
    return info


def parse_shard(text: str) -> tuple[int, int]:
    """Return the shard that a text such as "3/16" names; raises InputError if it names none."""
    try:
        number, of = (int(part) for part in text.split("/"))
    except ValueError:
        raise InputError(f"shard '{text}' is not i/n, such as 3/16") from None
    return _possible((number, of))


def _possible(shard: tuple[int, int]) -> tuple[int, int]:
    number, of = shard
    if not 1 <= number <= of:
        raise InputError(f"shard {number}/{of} is impossible; give i/n with i from 1 to n")
    return shard


def make_sample(recipe_toml: str, seed: int, folder: Path, index: int) -> None:
    """Render one sample and write it into a dataset folder; raises InputError as `generate`."""
    recipe = _recipe(recipe_toml)
    drawn = recipe.for_sample(seed, index)
    sample = render(drawn, seed, index)
    more = {}
    if drawn.outputs:
        more = compute_outputs(sample.scene, sample.particle, drawn.outputs)
    truth, pixel_size_nm = sample.truth, sample.pixel_size_nm
    text = None if drawn is recipe else drawn.to_toml()
    write_sample(folder, index, sample.image, sample.labels, truth, pixel_size_nm, more, text)


@lru_cache(maxsize=1)
def _recipe(text: str) -> Recipe | RandomizedRecipe:
    return parse_recipe_source(text, "the recipe")


@contextmanager
def _locked(folder: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Keep other processes from generating the same samples; the lock ends with the process.

    Shards share the folder's lock and have one each of their own.
    """
    number, of = shard
    with ExitStack() as files:
        _lock(files, folder / "lock", fcntl.LOCK_EX if shard == WHOLE else fcntl.LOCK_SH, folder)
        if shard != WHOLE:
            _lock(files, folder / f"lock-{number}-of-{of}", fcntl.LOCK_EX, folder)
        yield


def _lock(files: ExitStack, path: Path, kind: int, folder: Path) -> None:
    try:
        file = files.enter_context(path.open("w"))
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"another process generates into {folder}; wait for it, or give each a --shard"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None


def _remove_torn_files(folder: Path, shard: tuple[int, int]) -> None:
    """Remove what killed processes left; other shards may be at work, so not in theirs."""
    if shard == WHOLE:
        for torn in folder.glob(f"*/{PART_PREFIX}*"):
            torn.unlink(missing_ok=True)
