"""Text in micrographs, such as the lengths of scale bars, by optical character recognition.

The models are those in the wheel of RapidOCR; nothing is downloaded.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from nanorender.files.scalebars.rectangle import Rectangle

MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}
"""Files of the detector and the recognizer in the wheel of RapidOCR."""

LINE_HEIGHT_PX = 48
"""Height of a line as the recognizer sees it."""


class Lettering(NamedTuple):
    """A recognized line of text.

    Attributes
    ----------
    text
        Its characters.
    confidence
        Of the recognition, 0 to 1.
    box
        Where it is.
    """

    text: str
    confidence: float
    box: Rectangle


def recognizes_text() -> bool:
    """Return whether the packages of the extra ``scalebar`` are installed.

    Returns
    -------
    bool
        Whether text can be recognized.
    """
    return all(find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def recognize_text(levels: UInt8[np.ndarray, "h w"], magnification: int = 1) -> list[Lettering]:
    """Recognize the text in an image.

    Parameters
    ----------
    levels
        (h, w) gray levels.
    magnification
        Factor by which the image is enlarged first, for small text.

    Returns
    -------
    list of Lettering
        Lines of text, boxes in pixels of `levels`.
    """
    size = (levels.shape[1] * magnification, levels.shape[0] * magnification)
    enlarged = cv2.resize(levels, size, interpolation=cv2.INTER_CUBIC)
    found = _engine()(cv2.cvtColor(enlarged, cv2.COLOR_GRAY2BGR), use_det=True, use_cls=False)
    if not found.txts:
        return []
    lines = []
    for text, confidence, corners in zip(found.txts, found.scores, found.boxes, strict=True):
        low, high = corners.min(axis=0) / magnification, corners.max(axis=0) / magnification
        box = Rectangle(*(int(value) for value in (*np.floor(low), *np.ceil(high))))
        lines.append(Lettering(text.strip(), float(confidence), box))
    return lines


def recognize_line(levels: UInt8[np.ndarray, "h w"], box: Rectangle) -> Lettering:
    """Recognize the text in a box again, at another size.

    Parameters
    ----------
    levels
        (h, w) gray levels.
    box
        Where a line of text was found.

    Returns
    -------
    Lettering
        The text, empty if nothing is recognized.
    """
    margin = max(2, box.height // 6)
    top, left = max(0, box.top - margin), max(0, box.left - margin)
    part = levels[top : box.bottom + margin, left : box.right + margin]
    factor = LINE_HEIGHT_PX / part.shape[0]
    size = (max(1, round(part.shape[1] * factor)), LINE_HEIGHT_PX)
    line = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
    found = _engine()(cv2.cvtColor(line, cv2.COLOR_GRAY2BGR), use_det=False, use_cls=False)
    if not found.txts:
        return Lettering("", 0.0, box)
    return Lettering(found.txts[0].strip(), float(found.scores[0]), box)


@cache
def _engine() -> Any:
    """Load the models once per process."""
    import rapidocr

    folder = Path(rapidocr.__file__).parent / "models"
    files = {f"{part}.model_path": str(folder / name) for part, name in MODELS.items()}
    return rapidocr.RapidOCR(params={"Global.log_level": "critical", **files})
