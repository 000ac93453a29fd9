"""Corrected statistics as text and as CSV files."""

import math
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from nanorender.correction.correction import CONFIDENCE
from nanorender.correction.detection import DetectionClass
from nanorender.correction.record import CORRECTIONS, DETECTION
from nanorender.correction.study import SHARE, CorrectedStudy
from nanorender.files.atomic import write_text

_FEW_FOUND = 0.7  # share of the particles, below which corrections rest on what is not seen
_SMALL_BIAS = 0.005  # of sizes, not worth a sentence

TITLES = {
    "d10": "D10",
    "d50": "median, D50",
    "d90": "D90",
    "mean": "mean",
    "number_density": "number density",
    SHARE: "share below 100 nm (minimum Feret)",
}
"""Names of the statistics for the reader."""

_VISIBLE = "their sizes, raw and corrected, are those of the visible part, a lower bound."
_WHOLE = "hidden parts are estimated in the raw sizes, and known of the twins that correct them."


def correction_frame(corrected: CorrectedStudy) -> pd.DataFrame:
    """Tabulate corrections: one row per statistic.

    Parameters
    ----------
    corrected : corrections of a study

    Returns
    -------
    table : statistic, unit, raw, corrected, low, high (of the 95 % interval), and the relative
        standard uncertainties by cause
    """
    rows = [
        {
            "statistic": name,
            "unit": unit_of(name, corrected.unit),
            "raw": one.raw,
            "corrected": one.corrected.value,
            "low": one.corrected.low,
            "high": one.corrected.high,
            "u_sampling": one.budget.sampling,
            "u_response": one.budget.response,
            "u_model": one.budget.model,
            "u_pixel_size": one.budget.pixel_size,
            "u_combined": one.budget.combined,
        }
        for name, one in corrected.corrections.items()
    ]
    return pd.DataFrame(rows)


def unit_of(name: str, unit: str) -> str:
    """Return the unit of a statistic.

    Parameters
    ----------
    name : of the statistic
    unit : of lengths

    Returns
    -------
    unit, empty for shares

    Examples
    --------
    >>> unit_of("d50", "nm"), unit_of("number_density", "nm")
    ('nm', '1/um2')
    """
    if name == "number_density":
        return "1/um2" if unit == "nm" else "1/Mpx"
    return "" if name == SHARE else unit


def sentences(corrected: CorrectedStudy) -> list[str]:
    """Say in plain words what the twins tell about the segmentation.

    Parameters
    ----------
    corrected : corrections of a study

    Returns
    -------
    lines : sentences
    """
    lines = []
    for one in _examples(corrected):
        size = f"{one.typical:.3g} {corrected.unit}"
        text = f"Of particles of about {size}, {one.found:.0%} are found"
        if abs(one.bias) < _SMALL_BIAS:
            text += "; their sizes are right on average"
        elif not math.isnan(one.bias):
            way = "large" if one.bias > 0 else "small"
            text += f"; their sizes are {abs(one.bias):.1%} too {way} on average"
        lines.append(f"{text}.")
    lines.append(
        f"{corrected.false_share:.1%} of what is found is no particle or a wrong outline; "
        f"{corrected.merged_share:.1%} of the particles are found together with a neighbor."
    )
    lines.append(
        f"{corrected.hidden_share:.0%} of the particles are partly hidden by others: "
        + (_WHOLE if corrected.quantity == "amodal_diameter" else _VISIBLE)
    )
    return lines


def caution(corrected: CorrectedStudy) -> str | None:
    """Say why corrected values are missing or to be taken with care.

    Parameters
    ----------
    corrected : corrections of a study

    Returns
    -------
    sentence : None where there is no such reason
    """
    if corrected.refusal is not None:
        return corrected.refusal[0].upper() + corrected.refusal[1:] + "."
    if corrected.found_share >= _FEW_FOUND:
        return None
    return (
        f"Only {corrected.found_share:.0%} of the particles in the twins are found, so the "
        "corrected values rest on particles that the micrographs hardly show: rely on the "
        "intervals, and check whether the sample has as many such particles as the twins."
    )


def format_corrections(corrected: CorrectedStudy) -> list[str]:
    """Format corrections for the terminal.

    Parameters
    ----------
    corrected : corrections of a study

    Returns
    -------
    lines : one per statistic, then plain sentences, and a caution if there is a reason
    """
    lines = []
    for name, one in corrected.corrections.items():
        unit, value = unit_of(name, corrected.unit), one.corrected
        lines.append(
            f"{TITLES[name] + (f', {unit}' if unit else ''):<36} raw {one.raw:<8.4g} corrected "
            f"{value.value:<8.4g} {CONFIDENCE:.0%} interval {value.low:.4g} to {value.high:.4g}"
        )
    warning = caution(corrected)
    return [*lines, *sentences(corrected), *([warning] if warning else [])]


def write_corrections(folder: Path, corrected: CorrectedStudy) -> None:
    """Write corrections and detection by size into a twins folder.

    Parameters
    ----------
    folder : folder of twins
    corrected : corrections of the study

    Raises
    ------
    UnwritableError
        If a file cannot be written.
    """
    detection = pd.DataFrame([asdict(one) for one in corrected.detection])
    for name, table in ((DETECTION, detection), (CORRECTIONS, correction_frame(corrected))):
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))


def _examples(corrected: CorrectedStudy) -> list[DetectionClass]:
    """Return the smallest, the middle and the largest class of sizes."""
    classes = corrected.detection
    rows = {0, len(classes) // 2, len(classes) - 1} if classes else set()
    return [classes[row] for row in sorted(rows)]
