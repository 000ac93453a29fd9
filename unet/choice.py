"""The choice of epochs by eye: a page that does not tell them apart, and what people chose on it.

An epoch is known on the page by the first digits of the SHA-256 of its model file, and the epochs
come in the order of these digits: neither tells how long the network had been trained.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import Field, ValidationError

from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.checksums import file_sha256
from nanorender.report.overlay import to_uint8
from nanorender.report.page import page_template
from nanorender.report.rois import outlines, svg_path
from nanorender.separation.separate import Separation, separate
from nanorender.settings import Settings, read_text
from unet.presets import TrainSettings
from unet.run_folder import epoch_path, epochs_with_weights
from unet.segment import grown_back
from unet.select import RankedEpoch, kept_epochs
from unet.validation import ValidationImage, read_prediction

PICKS = 5
CODE_DIGITS = 12
CROP_PX = 256
CROPS = 6
Code = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{CODE_DIGITS}}}$")]


class Choice(Settings):
    """What a person chose on a page, as its file says.

    Attributes
    ----------
    person: who chose, if they said so
    candidates: how many epochs there were
    picks: codes of the epochs chosen, best first
    """

    format: Literal["nanorender-choice-1"] = "nanorender-choice-1"
    person: str = ""
    candidates: int = Field(ge=1)
    picks: tuple[Code, ...] = Field(min_length=1, max_length=PICKS)


@dataclass(frozen=True)
class Crop:
    """A part of a micrograph on the page: its name, its edges in pixels, a JPEG as a data URI."""

    name: str
    width: int
    height: int
    uri: str


@dataclass(frozen=True)
class ChoiceSummary:
    """What several people chose.

    Attributes
    ----------
    ranked: the epochs that somebody picked, first those that most did; the score is their share,
        parts are the mean place among a person's picks and, with a truth, the scores on it
    picks: epochs that each person picked, best first, by name
    agreement: mean share of the picks that two people have in common; None for one person
    by_chance: the same if both had picked at random
    """

    ranked: list[RankedEpoch]
    picks: dict[str, tuple[int, ...]]
    agreement: float | None
    by_chance: float


def write_page(
    path: Path,
    run_folder: Path,
    validation: Sequence[ValidationImage],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the page on which people choose among the kept epochs of a run.

    Raises
    ------
    InputError
        If no epoch has been kept with its predictions, or the page cannot be written.
    """
    kept = kept_epochs(run_folder, validation)
    codes = epoch_codes(run_folder, kept)
    windows = [_telling_windows(run_folder, kept, image) for image in validation]
    crops, places = [], []
    for turn in range(CROPS):  # one window of each image before a second one of any
        for image, of_image in zip(validation, windows, strict=True):
            if turn < len(of_image) and len(crops) < CROPS:
                places.append((image, of_image[turn]))
                crops.append(_crop(image.name, to_uint8(image.image)[of_image[turn]]))
    candidates = {}
    for done, code in enumerate(sorted(codes)):
        on_progress(done, len(codes))
        candidates[code] = _paths(run_folder, codes[code], kept[codes[code]], places)
    on_progress(len(codes), len(codes))
    template = page_template(Path(__file__).parent / "templates" / "choose.html.jinja")
    write_text(path, template.render(crops=crops, candidates=candidates, most=PICKS))


def epoch_codes(run_folder: Path, epochs: Mapping[int, object]) -> dict[str, int]:
    """Return the epochs by their codes."""
    return {file_sha256(epoch_path(run_folder, epoch))[:CODE_DIGITS]: epoch for epoch in epochs}


def read_choice(path: Path) -> Choice:
    """Return what a person chose; raises InputError if the file is none that the page wrote."""
    try:
        return Choice.model_validate_json(read_text(path))
    except ValidationError:
        raise InputError(f"{path} is no choice that the page of `select --page` exported") from None


def read_choices(paths: Sequence[Path]) -> dict[str, Choice]:
    """Return what several people chose, by their names, or by the names of their files.

    Raises
    ------
    InputError
        As `read_choice`, or if two have one name.
    """
    choices: dict[str, Choice] = {}
    for path in paths:
        choice = read_choice(path)
        name = choice.person if choice.person else path.stem
        if name in choices:
            raise InputError(f"two choices are by '{name}'; write another name into {path}")
        choices[name] = choice
    return choices


def summarize_choices(
    run_folder: Path, choices: Mapping[str, Choice], scored: Sequence[RankedEpoch] = ()
) -> ChoiceSummary:
    """Return what people, by their names, agree on.

    Parameters
    ----------
    scored: the epochs with their scores on annotated images, if there are any

    Raises
    ------
    InputError
        If a choice names an epoch that this run does not keep.
    """
    codes = epoch_codes(run_folder, dict.fromkeys(epochs_with_weights(run_folder)))
    picks = {}
    for name, choice in choices.items():
        unknown = [code for code in choice.picks if code not in codes]
        if unknown:
            raise InputError(
                f"{name} chose '{unknown[0]}', no epoch that {run_folder} keeps; give the run "
                "from which the page was made"
            )
        picks[name] = tuple(codes[code] for code in dict.fromkeys(choice.picks))
    scores = {item.epoch: item.parts for item in scored}
    ranked = []
    for epoch in sorted({epoch for chosen in picks.values() for epoch in chosen}):
        places = [chosen.index(epoch) + 1 for chosen in picks.values() if epoch in chosen]
        parts = {"mean_place": float(np.mean(places))} | scores.get(epoch, {})
        ranked.append(RankedEpoch(epoch, len(places) / len(picks), parts))
    ranked.sort(key=lambda item: (-item.score, item.parts["mean_place"], -item.epoch))
    shared = [_shared(*pair) for pair in combinations(picks.values(), 2)]
    by_chance = np.mean([len(chosen) for chosen in picks.values()]) / max(
        choice.candidates for choice in choices.values()
    )
    return ChoiceSummary(
        ranked, picks, float(np.mean(shared)) if shared else None, float(by_chance)
    )


def choice_lines(summary: ChoiceSummary, scored: Sequence[RankedEpoch] = ()) -> list[str]:
    """Return what people chose in words, with their mean scores where a truth is known.

    The last line then gives the same for the epochs that are best by that truth.
    """
    lines = [str(place) for place in summary.ranked[:PICKS]]
    rows = dict(summary.picks)
    if scored:
        rows["best by truth"] = tuple(item.epoch for item in scored[:PICKS])
    scores = {item.epoch: item.parts for item in scored}
    for name, epochs in rows.items():
        known = [scores[epoch] for epoch in epochs if epoch in scores]
        means = {key: np.mean([parts[key] for parts in known]) for key in known[0]} if known else {}
        tail = "".join(f", mean {key} {value:.3f}" for key, value in means.items())
        lines.append(f"{name}: epochs {', '.join(map(str, epochs))}{tail}")
    if summary.agreement is not None:
        lines.append(
            f"two people share {summary.agreement:.0%} of their picks in the mean, "
            f"{summary.by_chance:.0%} if they picked at random"
        )
    return lines


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the share of the picks that two people have in common."""
    return len(set(one) & set(other)) / max(len(one), len(other))


def _telling_windows(
    run_folder: Path, kept: Mapping[int, TrainSettings], image: ValidationImage
) -> list[tuple[slice, slice]]:
    """Return parts of an image that do not overlap, first those where epochs differ most."""
    total = np.zeros(image.image.shape, np.float32)
    squares = np.zeros_like(total)
    for epoch, training in kept.items():
        maps = read_prediction(run_folder, epoch, image, training.targets)
        shown = maps.get("interior", maps["foreground"])
        total += shown
        squares += shown**2
    doubt = squares / len(kept) - (total / len(kept)) ** 2
    height, width = (min(CROP_PX, edge) for edge in image.image.shape)
    spread: Float[np.ndarray, "h w"] = np.pad(doubt.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = (
        spread[height:, width:]
        - spread[:-height, width:]
        - spread[height:, :-width]
        + spread[:-height, :-width]
    )
    windows = []
    while len(windows) < CROPS and np.isfinite(inside).any():
        y, x = divmod(int(np.argmax(inside)), inside.shape[1])
        windows.append((slice(y, y + height), slice(x, x + width)))
        inside[max(0, y - height + 1) : y + height, max(0, x - width + 1) : x + width] = -np.inf
    return windows


def _crop(name: str, gray: UInt8[np.ndarray, "h w"]) -> Crop:
    """Return a part of a micrograph as the page shows it."""
    _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 90])
    uri = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    return Crop(name, gray.shape[1], gray.shape[0], uri)


def _paths(
    run_folder: Path,
    epoch: int,
    training: TrainSettings,
    places: Sequence[tuple[ValidationImage, tuple[slice, slice]]],
) -> list[str]:
    """Return the outlines that an epoch gives in each crop, as data of SVG paths."""
    labels: dict[str, Int[np.ndarray, "h w"]] = {}
    paths = []
    for image, window in places:
        if image.name not in labels:
            maps = read_prediction(run_folder, epoch, image, training.targets)
            labels[image.name] = separate(maps, grown_back(Separation(), training))
        found = np.ascontiguousarray(labels[image.name][window])
        paths.append("".join(svg_path(pieces) for pieces in outlines(found).values()))
    return paths
