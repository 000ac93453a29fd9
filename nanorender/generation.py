"""Generation of datasets: on all cores or a cluster, and resumable after any interruption."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from nanorender.errors import InputError
from nanorender.execution.cluster import check_cluster
from nanorender.execution.interruptible import interruptible
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
from nanorender.rendering import render
from nanorender.scenes.scene import sample_scene

WHOLE = (1, 1)
"""The shard (i, n) of a dataset that is not divided."""

LONGEST_LOCK_WAIT_S = 5.0
"""Time to wait for the lock of a folder, which shards hold only while they take their own."""


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
    """Generate the missing samples of a dataset.

    The files are the same for any number of workers and shards, and after any interruption.

    Parameters
    ----------
    recipe, seed
        Define the samples; for an existing dataset they must be its own.
    count
        Total number of samples.
    folder
        New, empty, or a dataset to continue.
    workers
        Number of processes; 1 uses this process.
    shard
        (i, n): every n-th sample from the i-th, i from 1, for a job array on one folder.
    scheduler
        Address of a Dask cluster that generates the samples instead of this machine. Its workers
        must see the folder under the same path.
    on_progress
        Called with the number of complete samples in this shard, and their total.

    Returns
    -------
    DatasetInfo
        As in the dataset's JSON file.

    Raises
    ------
    InputError
        If the folder holds something else, another process generates into it, the disk is full or
        read-only, no cluster answers, or the recipe cannot be rendered.
    """
    number, of = _possible(shard)
    if count < 0 or seed < 0 or workers < 1:
        raise InputError(
            f"count and seed must be at least 0 and workers at least 1, got count {count}, "
            f"seed {seed}, workers {workers}"
        )
    if count > MOST_SAMPLES:
        raise InputError(
            f"count must be at most {MOST_SAMPLES}, got {count}; generate several folders, each "
            "with its own seed"
        )
    text = recipe.to_toml()
    if not (folder / "dataset.json").is_file():
        # Refuse impossible recipes and unreachable clusters before writing any files.
        if scheduler is not None:
            check_cluster(scheduler)
        interruptible(sample_scene)(
            _recipe(text).for_sample(seed, 0), np.random.default_rng([seed, 0]).spawn(1)[0]
        )
        create_dataset(folder, recipe.description, text, seed, count)
    with _locked(folder, shard):
        # Read again under the lock: another process may have just created the dataset.
        info = create_dataset(folder, recipe.description, text, seed, count)
        _remove_torn_files(folder, shard)
        wanted = range(number - 1, count, of)
        missing = sorted(set(wanted).difference(complete_samples(folder)))
        done = len(wanted) - len(missing)
        on_progress(done, len(wanted))
        work = partial(make_sample, text, seed, folder.resolve())
        # The first sample compiles the kernels if necessary; the workers load them from the cache.
        alone = 1 if scheduler is None else 0
        try:
            for tasks, crew in ((missing[:alone], 1), (missing[alone:], workers)):
                for _ in run_tasks(work, tasks, crew, scheduler):
                    done += 1
                    on_progress(done, len(wanted))
        finally:
            _remove_torn_files(folder, shard)  # of killed workers
    return info


def parse_shard(text: str) -> tuple[int, int]:
    """Parse a shard such as "3/16".

    Parameters
    ----------
    text
        i/n with i from 1 to n.

    Returns
    -------
    tuple of int
        i and n.

    Raises
    ------
    InputError
        If the text is not a shard.

    Examples
    --------
    >>> parse_shard("3/16")
    (3, 16)
    """
    try:
        number, of = (int(part) for part in text.split("/"))
    except ValueError:
        raise InputError(f"shard must be i/n such as 3/16, got '{text}'") from None
    return _possible((number, of))


def _possible(shard: tuple[int, int]) -> tuple[int, int]:
    """Return a shard (i, n), or raise InputError if i is not from 1 to n."""
    number, of = shard
    if not 1 <= number <= of:
        raise InputError(f"shard must be i/n with i from 1 to n, got {number}/{of}")
    return shard


def make_sample(recipe_toml: str, seed: int, folder: Path, index: int) -> None:
    """Render one sample and write it into a dataset folder.

    Parameters
    ----------
    recipe_toml, seed
        Define the samples.
    folder
        The dataset.
    index
        Number of the sample.

    Raises
    ------
    InputError
        If the sample cannot be rendered or written.
    """
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
    """Return the recipe that a worker was sent last."""
    return parse_recipe_source(text, "the recipe")


@contextmanager
def _locked(folder: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Prevent other processes from generating the same samples; locks end with their process.

    Windows has no shared locks. Each shard has a lock of its own, taken while it holds the lock of
    the folder. A dataset that is not divided keeps the lock of the folder, once no shard has one.
    """
    number, of = shard
    with ExitStack() as held:
        if shard == WHOLE:
            held.enter_context(_lock(folder, "lock", LONGEST_LOCK_WAIT_S))
            for path in folder.glob("lock-*-of-*"):
                with _lock(folder, path.name, 0.0):
                    pass
        else:
            with _lock(folder, "lock", LONGEST_LOCK_WAIT_S):
                held.enter_context(_lock(folder, f"lock-{number}-of-{of}", 0.0))
        yield


@contextmanager
def _lock(folder: Path, name: str, wait_s: float) -> Iterator[None]:
    """Lock a file in a dataset."""
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise InputError(
            f"another process is writing to {folder}; wait for it, or give each its own --shard"
        ) from None
    except OSError as error:
        raise InputError(f"{folder / name} cannot be locked: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def _remove_torn_files(folder: Path, shard: tuple[int, int]) -> None:
    """Remove the files of killed processes, unless other shards may still be writing."""
    if shard == WHOLE:
        for torn in folder.glob(f"*/{PART_PREFIX}*"):
            torn.unlink(missing_ok=True)
