"""Studies: micrographs with label maps that were made in one way."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.files.segmentation import (
    SegmentationRecord,
    find_label_maps,
    hash_labels,
    read_record,
    read_segmented,
)
from nanorender.measuring.contrast import contrasts
from nanorender.measuring.measure import measure


class Study(NamedTuple):
    """Micrographs of a study and the particles found in them.

    Attributes
    ----------
    names : of the label maps
    micrographs : as they were segmented
    tables : rows of `measure` of each label map, in px
    labels_sha256 : hash of each label map
    record : of the first label map; the others were made in the same way
    has_dark_particles : whether most particles are darker than the background around them
    """

    names: tuple[str, ...]
    micrographs: tuple[Micrograph, ...]
    tables: tuple[pd.DataFrame, ...]
    labels_sha256: tuple[str, ...]
    record: SegmentationRecord
    has_dark_particles: bool = False


def read_study(folder: Path) -> Study:
    """Read a folder of label maps and their micrographs.

    Parameters
    ----------
    folder : written by `nanorender segment`

    Returns
    -------
    The study.

    Raises
    ------
    InputError
        If a label map has no record, was made in another way than the first one, or was edited.
    """
    paths = find_label_maps(folder)
    records = []
    for path in paths:
        record = read_record(path)
        if record is None:
            raise InputError(
                f"{path} has no record of 'nanorender segment', so it is unknown how its twins "
                "would be segmented; segment the micrographs"
            )
        records.append(record)
        ways = [(r.model_sha256, r.separation, r.min_confidence) for r in (records[0], record)]
        if ways[0] != ways[1]:
            raise InputError(
                f"{path} was segmented in another way than {paths[0].name}; segment all "
                "micrographs with the same settings"
            )
    segmented = [read_segmented(path) for path in paths]
    edited = [path for path, one in zip(paths, segmented, strict=True) if one.edited]
    if edited:
        raise InputError(
            f"{edited[0]} was edited by hand, so its errors are no longer those of the "
            "segmentation that twins show; use the label maps as segmented"
        )
    contrast = np.concatenate([contrasts(one.labels, one.micrograph.image) for one in segmented])
    return Study(
        tuple(path.stem for path in paths),
        tuple(one.micrograph for one in segmented),
        tuple(measure(one.labels, None) for one in segmented),
        tuple(hash_labels(one.labels) for one in segmented),
        records[0],
        len(contrast) > 0 and float(np.median(contrast)) < 0,
    )
