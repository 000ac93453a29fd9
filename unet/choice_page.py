"""HTML page for a blind choice among the epochs of a run by eye."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from nanorender.files.atomic import write_text
from nanorender.report.overlay import to_uint8
from nanorender.report.page import page_template
from nanorender.report.rois import outlines, svg_path
from nanorender.separation.separate import Separation, separate
from unet.choice import MOST_PICKS, epoch_codes
from unet.predict import Window
from unet.presets import TrainSettings
from unet.segment import compensate_erosion
from unet.select import kept_epochs
from unet.validation import ValidationImage, read_prediction

_CROP_PX = 256
_MOST_CROPS = 6


@dataclass(frozen=True)
class _Crop:
    """Part of a micrograph on the page: its size in px and a JPEG as a data URI."""

    name: str
    width: int
    height: int
    uri: str


def write_choice_page(
    path: Path,
    run_folder: Path,
    validation: Sequence[ValidationImage],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the page on which people choose among the kept epochs of a run.

    Parameters
    ----------
    path : HTML file to write
    run_folder : folder of the training
    validation : validation images of the training
    on_progress : function called with the number of epochs done and their total

    Raises
    ------
    InputError
        If no epoch was kept with its predictions, or the page cannot be written.
    """
    kept = kept_epochs(run_folder, validation)
    codes = epoch_codes(run_folder, kept)

    # Crop the images where epochs differ most, taking windows from the images in turn
    windows = [_most_different_windows(run_folder, kept, image) for image in validation]
    places = [
        (image, of_image[turn])
        for turn in range(_MOST_CROPS)
        for image, of_image in zip(validation, windows, strict=True)
        if turn < len(of_image)
    ][:_MOST_CROPS]
    crops = [_crop(image.name, to_uint8(image.image)[window]) for image, window in places]

    # Draw the outlines of every epoch
    candidates = {}
    for done, code in enumerate(sorted(codes)):
        on_progress(done, len(codes))
        candidates[code] = _outline_paths(run_folder, codes[code], kept[codes[code]], places)
    on_progress(len(codes), len(codes))

    template = page_template(Path(__file__).parent / "templates" / "choose.html.jinja")
    write_text(path, template.render(crops=crops, candidates=candidates, most=MOST_PICKS))


def _most_different_windows(
    run_folder: Path, kept: Mapping[int, TrainSettings], image: ValidationImage
) -> list[Window]:
    """Find windows that do not overlap, in descending order of the variance between epochs."""
    # Compute the variance of the epochs' predictions at each pixel
    total = np.zeros(image.image.shape, np.float32)
    squares = np.zeros_like(total)
    for epoch, training in kept.items():
        maps = read_prediction(run_folder, epoch, image, training.targets)
        particles = maps.get("interior", maps["foreground"])
        total += particles
        squares += particles**2
    variance = squares / len(kept) - (total / len(kept)) ** 2

    # Sum it over every window, from a summed-area table
    height, width = (min(_CROP_PX, edge) for edge in image.image.shape)
    table: Float[np.ndarray, "h w"] = np.pad(variance.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = (
        table[height:, width:]
        - table[:-height, width:]
        - table[height:, :-width]
        + table[:-height, :-width]
    )

    # Take the window of largest sum and exclude those that overlap it, repeatedly
    windows = []
    while len(windows) < _MOST_CROPS and np.isfinite(sums).any():
        y, x = divmod(int(np.argmax(sums)), sums.shape[1])
        windows.append((slice(y, y + height), slice(x, x + width)))
        sums[max(0, y - height + 1) : y + height, max(0, x - width + 1) : x + width] = -np.inf
    return windows


def _crop(name: str, gray: UInt8[np.ndarray, "h w"]) -> _Crop:
    """Encode a part of a micrograph for the page."""
    _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 90])
    uri = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    return _Crop(name, gray.shape[1], gray.shape[0], uri)


def _outline_paths(
    run_folder: Path,
    epoch: int,
    training: TrainSettings,
    places: Sequence[tuple[ValidationImage, Window]],
) -> list[str]:
    """Outline the particles that an epoch finds in each crop, as data of SVG paths."""
    labels: dict[str, Int[np.ndarray, "h w"]] = {}
    paths = []
    for image, window in places:
        if image.name not in labels:
            maps = read_prediction(run_folder, epoch, image, training.targets)
            labels[image.name] = separate(maps, compensate_erosion(Separation(), training))
        found = np.ascontiguousarray(labels[image.name][window])
        paths.append("".join(svg_path(pieces) for pieces in outlines(found).values()))
    return paths
