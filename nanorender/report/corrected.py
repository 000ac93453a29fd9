"""Corrected sizes in the report: what twins say, their plots, and twins beside micrographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nanorender.correction.correction_table import caution, sentences
from nanorender.correction.detection import DetectionClass
from nanorender.correction.record import read_twins_record
from nanorender.correction.study import CorrectedStudy, correct_study
from nanorender.errors import InputError
from nanorender.files.imagefile import read_pixels
from nanorender.report.figures import FIT, INK, MEASURED, STYLE
from nanorender.report.picture import jpeg_uri
from nanorender.scoring.results import ImageResult
from nanorender.statistics.summary import Statistics

_PAIRS = 2  # micrographs shown beside a twin


class TwinPair(NamedTuple):
    """A micrograph beside one of its twins, as data URIs.

    Attributes
    ----------
    name : of the micrograph
    micrograph, twin : images
    """

    name: str
    micrograph: str
    twin: str


class CorrectedSection(NamedTuple):
    """Content of the section on corrected sizes.

    Attributes
    ----------
    study : corrections
    sentences : what the twins say in plain words
    caution : why values are missing or to be taken with care, None without a reason
    pairs : micrographs beside twins
    """

    study: CorrectedStudy
    sentences: Sequence[str]
    caution: str | None
    pairs: Sequence[TwinPair]


def corrected_section(
    folder: Path, results: Sequence[ImageResult], settings: Statistics
) -> CorrectedSection:
    """Compute the corrections of a study for the report.

    Parameters
    ----------
    folder : written by `nanorender twins`
    results : images of the study
    settings : quantity, uncertainty of the pixel size

    Returns
    -------
    content of the section

    Raises
    ------
    InputError
        If particles were struck out, or the twins are those of other label maps.
    """
    if any(result.struck_out for result in results):
        raise InputError(
            "particles struck out by hand cannot be corrected by twins, which have none struck "
            "out; leave out the choice or the twins"
        )
    study = correct_study(
        folder,
        [result.labels_sha256 for result in results],
        [result.table for result in results],
        settings.quantity,
        settings.pixel_size_uncertainty,
    )
    record = read_twins_record(folder)
    pairs = []
    for twin in range(min(_PAIRS, len(results), record.count)):
        index = record.micrograph_of(twin)
        image, result = record.images[index], results[index]
        part = result.read_pixels().image[: image.height_px, : image.width_px]
        pixels = read_pixels(folder / "images" / f"{record.twin_name(twin)}.tif").array
        pairs.append(TwinPair(result.name, jpeg_uri(part), jpeg_uri(pixels)))
    return CorrectedSection(study, sentences(study), caution(study), pairs)


@matplotlib.rc_context(STYLE)
def detection_curve(classes: Sequence[DetectionClass], unit: str) -> Figure:
    """Draw the share of particles found, and the error of their sizes, over the true size.

    Parameters
    ----------
    classes : of true sizes
    unit : of the sizes

    Returns
    -------
    figure
    """
    figure = Figure(figsize=(6.0, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    found, error = figure.subplots(2, 1, sharex=True)
    sizes = np.array([one.typical for one in classes])
    shares = 100 * np.array([(one.found, one.found_low, one.found_high) for one in classes])
    bars = np.abs(shares[:, 1:].T - shares[:, 0])
    found.errorbar(sizes, shares[:, 0], bars, color=MEASURED, marker="o", capsize=2, linewidth=1.2)
    found.set_ylim(0, 105)
    found.set_ylabel("particles found (%)")
    biases = 100 * np.array([one.bias for one in classes])
    spreads = 100 * np.array([one.spread for one in classes])
    error.errorbar(sizes, biases, spreads, color=FIT, marker="o", capsize=2, linewidth=1.2)
    error.axhline(0.0, color=INK, linewidth=0.8)
    error.set_ylabel("error of the size (%)")
    error.set_xlabel(f"true size ({unit})")
    return figure
