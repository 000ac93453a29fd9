"""Sentences beside the share below 100 nm: which particles of this size are found at all."""

from collections.abc import Sequence

from nanorender.report.corrected import CorrectedSection
from nanorender.scoring.limit import LimitDetection, annotated_detection
from nanorender.scoring.results import ImageResult
from nanorender.statistics.nanoscale import LIMIT_NM


def recall_sentences(
    results: Sequence[ImageResult],
    quantity: str,
    corrected: CorrectedSection | None,
    frame_rule: str = "keep",
) -> list[str]:
    """Say how many particles below the limit of nanomaterials are found, and how many are false.

    Annotations tell it of these images, twins of images like them. Without both, the confidence of
    the particles tells how many of those found are expected to be real.

    Parameters
    ----------
    results : images with their particles
    quantity : name of the size that is compared with the limit
    corrected : corrections by twins, if there are any
    frame_rule : rule for particles cut by the frame, a name in `FRAME_RULES`

    Returns
    -------
    sentences : at least one
    """
    sentences = []
    annotated = annotated_detection(results, quantity, LIMIT_NM)
    if annotated is not None:
        sentences.append(_of_annotated(annotated))
    twins = None if corrected is None else corrected.study
    if twins is not None and twins.nanoscale is not None and twins.refusal is None:
        sentences.append(_of_twins(twins.nanoscale))
    if not sentences:
        sentences.append(
            f"How many particles below {LIMIT_NM:g} nm are missed is not known without annotations "
            "or twins."
        )
        sentences += _of_confidence(results, quantity, frame_rule == "keep")
    return sentences


def _of_annotated(counts: LimitDetection) -> str:
    return (
        f"Of {counts.true_below} annotated particles below {LIMIT_NM:g} nm, "
        f"{counts.recalled_below}{_percent(counts.recalled_below, counts.true_below)} are found, "
        f"of {counts.true_above} larger ones {counts.recalled_above}"
        f"{_percent(counts.recalled_above, counts.true_above)}. {counts.false_below} of the "
        f"{counts.found_below} found below {LIMIT_NM:g} nm match no annotated particle."
    )


def _of_twins(counts: LimitDetection) -> str:
    return (
        f"In the twins, {counts.recalled_below} of {counts.true_below} particles below "
        f"{LIMIT_NM:g} nm are found{_percent(counts.recalled_below, counts.true_below)}, and "
        f"{counts.recalled_above} of {counts.true_above} larger ones"
        f"{_percent(counts.recalled_above, counts.true_above)}; {counts.false_below} of the "
        f"{counts.found_below} found below {LIMIT_NM:g} nm are false."
    )


def _of_confidence(
    results: Sequence[ImageResult], quantity: str, cut_ones_count: bool
) -> list[str]:
    """Say how many of the particles are expected to be real; nothing if no confidence is known."""
    count, cut, unknown, expected = 0, 0, 0, 0.0
    for result in results:
        table = result.kept_table
        column = f"{quantity}_nm"
        if column not in table:
            continue
        if not cut_ones_count:
            table = table.loc[~table["touches_frame"]]
        small = table.loc[table[column] < LIMIT_NM]
        known = small["confidence"].dropna()
        count += len(known)
        unknown += len(small) - len(known)
        cut += int(small["touches_frame"].sum())
        expected += float(known.sum())
    if count == 0:
        return []
    found = f"{count} found below {LIMIT_NM:g} nm"
    sentences = [f"By their confidence, about {expected:.0f} of {found} are particles."]
    if unknown:
        sentences.append(f"{unknown} others have no confidence.")
    if cut:
        sentences.append(f"{cut} of all these are cut by the frame, and may be larger.")
    return sentences


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f} %)" if whole else ""
