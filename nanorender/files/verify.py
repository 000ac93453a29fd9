"""Whether a dataset still is what was written: checksums, sizes, labels against truth tables."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256, parse_checksums, text_sha256
from nanorender.files.dataset import (
    complete_samples,
    open_dataset,
    read_recipe_text,
    read_truth_table,
    sample_paths,
)
from nanorender.files.labeled import read_sample
from nanorender.settings import read_text

_FILE_NAME = re.compile(r"[a-z]{1,40}/\d{6,9}\.(tif|csv)")


class Verification(NamedTuple):
    """The outcome.

    samples: how many whole samples were looked at
    problems: one line each; none if the dataset is sound
    """

    samples: int
    problems: tuple[str, ...]


def verify(
    folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Verification:
    """Check every sample of a dataset, and that none is missing.

    `on_progress` is called with how many samples have been looked at, and of how many.

    Raises
    ------
    InputError
        If the folder is no dataset.
    """
    info = open_dataset(folder)
    problems = []
    if text_sha256(read_recipe_text(folder)) != info.recipe_sha256:
        problems.append("recipe.toml is not the one that dataset.json names; it was changed")
    whole = complete_samples(folder)
    wanted = [index for index in whole if index < info.count]
    missing = info.count - len(wanted)
    if missing:
        first = next((place for place, index in enumerate(wanted) if place != index), len(wanted))
        problems.append(f"{missing} of {info.count} samples are missing, the first is {first:06d}")
    for done, index in enumerate(whole):
        on_progress(done, len(whole))
        problems += [
            f"sample {index:06d}: {problem}" for problem in _sample_problems(folder, index)
        ]
    on_progress(len(whole), len(whole))
    return Verification(len(whole), tuple(problems))


def _sample_problems(folder: Path, index: int) -> list[str]:
    """Return what is wrong with a sample."""
    try:
        return _changed_files(folder, index) or _contradictions(folder, index)
    except InputError as error:
        return [str(error)]


def _changed_files(folder: Path, index: int) -> list[str]:
    """Return the files of a sample whose checksums are not as recorded."""
    paths = sample_paths(folder, index)
    recorded = parse_checksums(read_text(paths.sums))
    changed = []
    for name in dict.fromkeys([*(p.relative_to(folder).as_posix() for p in paths[:3]), *recorded]):
        path = folder / name
        if not _FILE_NAME.fullmatch(name) or not path.resolve().is_relative_to(folder.resolve()):
            changed.append(f"its checksums name {name[:80]!r}, which lies outside the dataset")
        elif not path.is_file():
            changed.append(f"{name} is missing")
        elif recorded.get(name) != file_sha256(path):
            changed.append(f"{name} was changed")
    return changed


def _contradictions(folder: Path, index: int) -> list[str]:
    """Return where image, labels and truth table of a sample contradict each other."""
    _, labels, pixel_size_nm, _ = read_sample(folder, index)
    truth = read_truth_table(folder, index)
    problems = []
    if pixel_size_nm is None:
        return ["the image has no pixel size"]
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    shown = np.flatnonzero(counts)
    if "label" not in truth:
        problems.append("its truth table has no column 'label'")
    elif not np.array_equal(shown, truth["label"]):
        problems.append(f"{shown.size} labels are drawn, {truth['label'].size} are in the table")
    elif "visible_area_nm2" in truth:
        area_px = truth["visible_area_nm2"] / pixel_size_nm**2
        if not np.allclose(area_px, counts[shown], rtol=1e-6):
            worst = shown[np.argmax(np.abs(area_px - counts[shown]))]
            problems.append(f"the area of label {worst} is not that in the table")
    return problems
