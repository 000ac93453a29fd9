"""Verification of datasets: checksums, image sizes, and labels against truth tables."""

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
    read_truth_table,
    sample_paths,
)
from nanorender.files.labeled import read_sample
from nanorender.settings import read_text

_FILE_NAME = re.compile(r"[a-z]{1,40}/\d{6,9}\.(tif|csv|toml)")


class Verification(NamedTuple):
    """Outcome of a verification.

    Attributes
    ----------
    samples
        Number of complete samples.
    problems
        One line each, empty if the dataset is intact.
    """

    samples: int
    problems: tuple[str, ...]


def verify(
    folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Verification:
    """Check every sample of a dataset, and whether any are missing.

    Parameters
    ----------
    folder
        The dataset.
    on_progress
        Called with the number of samples checked, and their total.

    Returns
    -------
    Verification
        What was found.

    Raises
    ------
    InputError
        If the folder is not a dataset.
    """
    info = open_dataset(folder)
    problems = []
    if text_sha256(read_text(folder / "recipe.toml")) != info.recipe_sha256:
        problems.append("recipe.toml was changed: its checksum differs from that in dataset.json")
    complete = complete_samples(folder)
    wanted = [index for index in complete if index < info.count]
    missing = info.count - len(wanted)
    if missing:
        first = next((place for place, index in enumerate(wanted) if place != index), len(wanted))
        problems.append(f"{missing} of {info.count} samples are missing, the first is {first:06d}")
    for done, index in enumerate(complete):
        on_progress(done, len(complete))
        problems += [f"sample {index:06d}: {line}" for line in _sample_problems(folder, index)]
    on_progress(len(complete), len(complete))
    return Verification(len(complete), tuple(problems))


def _sample_problems(folder: Path, index: int) -> list[str]:
    """List the problems of a sample."""
    try:
        return _changed_files(folder, index) or _contradictions(folder, index)
    except InputError as error:
        return [str(error)]


def _changed_files(folder: Path, index: int) -> list[str]:
    """List the files of a sample whose checksums differ from those recorded."""
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
    """List contradictions between labels and truth table of a sample."""
    _, labels, pixel_size_nm, _ = read_sample(folder, index)
    truth = read_truth_table(folder, index)
    if pixel_size_nm is None:
        return ["the image has no pixel size"]
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    present = np.flatnonzero(counts)
    if "label" not in truth:
        return ["the truth table has no column 'label'"]
    if not np.array_equal(present, truth["label"]):
        return [
            f"the {present.size} labels of the label map and the {truth['label'].size} rows of the "
            "truth table differ"
        ]
    if "visible_area_nm2" in truth:
        area_px = truth["visible_area_nm2"] / pixel_size_nm**2
        if not np.allclose(area_px, counts[present], rtol=1e-6):
            worst = present[np.argmax(np.abs(area_px - counts[present]))]
            return [f"the area of label {worst} differs from that in the truth table"]
    return []
