"""Choices of an epoch by eye, and the agreement between the people who made them.

Candidates are identified by the first digits of the SHA-256 of their model files and sorted by
them, so that neither code nor order reveals how long the network was trained.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256
from nanorender.settings import Settings, read_text
from unet.run_folder import epoch_path, epochs_with_weights
from unet.select import RankedEpoch

MOST_PICKS = 5
_CODE_DIGITS = 12
_Code = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{_CODE_DIGITS}}}$")]


class Choice(Settings):
    """Choice of one person, as exported from the page."""

    format: Literal["nanorender-choice-1"] = "nanorender-choice-1"
    """Format of the file."""
    person: str = ""
    """Name of the person, if given."""
    candidates: int = Field(ge=1)
    """Number of candidates on the page."""
    picks: tuple[_Code, ...] = Field(min_length=1, max_length=MOST_PICKS)
    """Codes of the candidates picked, best first."""


@dataclass(frozen=True)
class ChoiceSummary:
    """Combined choices of several people.

    Attributes
    ----------
    ranked : epochs picked at least once, most picked first; the score is the fraction of people,
        parts are the mean position among the picks and, with annotations, the scores on them
    picks : epochs picked by each person, best first, by name
    agreement : mean fraction of the picks that two people share; None for one person
    agreement_by_chance : expected agreement of random picks
    """

    ranked: list[RankedEpoch]
    picks: dict[str, tuple[int, ...]]
    agreement: float | None
    agreement_by_chance: float


def epoch_codes(run_folder: Path, epochs: Iterable[int]) -> dict[str, int]:
    """Map the code of each candidate to its epoch.

    Parameters
    ----------
    run_folder : folder of the training
    epochs : epochs whose weights were kept

    Returns
    -------
    codes : epochs by their codes
    """
    return {file_sha256(epoch_path(run_folder, epoch))[:_CODE_DIGITS]: epoch for epoch in epochs}


def read_choice(path: Path) -> Choice:
    """Read the choice of one person.

    Parameters
    ----------
    path : file exported from the page

    Returns
    -------
    choice : picks and name

    Raises
    ------
    InputError
        If the file was not exported from the page.
    """
    try:
        return Choice.model_validate_json(read_text(path))
    except ValidationError:
        raise InputError(
            f"{path} is not a choice exported from the page of `select --page`"
        ) from None


def read_choices(paths: Sequence[Path]) -> dict[str, Choice]:
    """Read the choices of several people.

    Parameters
    ----------
    paths : files exported from the page

    Returns
    -------
    choices : choices by the names of the people, or of the files of people without a name

    Raises
    ------
    InputError
        If a file was not exported from the page, or two people have the same name.
    """
    choices: dict[str, Choice] = {}
    for path in paths:
        choice = read_choice(path)
        name = choice.person or path.stem
        if name in choices:
            raise InputError(f"two choices have the name '{name}'; change the name in {path}")
        choices[name] = choice
    return choices


def summarize_choices(
    run_folder: Path, choices: Mapping[str, Choice], scored: Sequence[RankedEpoch] = ()
) -> ChoiceSummary:
    """Combine the choices of several people.

    Parameters
    ----------
    run_folder : folder of the training
    choices : choices by name
    scored : epochs with their scores on annotated images, if there are any

    Returns
    -------
    summary : ranking and agreement

    Raises
    ------
    InputError
        If a choice names an epoch that the run does not keep.
    """
    # Translate codes into epochs
    codes = epoch_codes(run_folder, epochs_with_weights(run_folder))
    picks = {}
    for name, choice in choices.items():
        unknown = [code for code in choice.picks if code not in codes]
        if unknown:
            raise InputError(
                f"{name} chose '{unknown[0]}', which is not an epoch of {run_folder}; give the run "
                "from which the page was made"
            )
        picks[name] = tuple(codes[code] for code in dict.fromkeys(choice.picks))

    # Rank the epochs by the number of people who picked them
    scores = {item.epoch: item.parts for item in scored}
    ranked = []
    for epoch in {epoch for chosen in picks.values() for epoch in chosen}:
        places = [chosen.index(epoch) + 1 for chosen in picks.values() if epoch in chosen]
        parts = {"mean_place": float(np.mean(places))} | scores.get(epoch, {})
        ranked.append(RankedEpoch(epoch, len(places) / len(picks), parts))
    ranked.sort(key=lambda item: (-item.score, item.parts["mean_place"], -item.epoch))

    # Compare the agreement of two people with that of random picks
    shared = [
        len(set(a) & set(b)) / max(len(a), len(b)) for a, b in combinations(picks.values(), 2)
    ]
    candidates = max(choice.candidates for choice in choices.values())
    by_chance = float(np.mean([len(chosen) for chosen in picks.values()])) / candidates
    return ChoiceSummary(ranked, picks, float(np.mean(shared)) if shared else None, by_chance)


def format_choices(summary: ChoiceSummary, scored: Sequence[RankedEpoch] = ()) -> list[str]:
    """Describe the combined choices, with mean scores where annotations are known.

    Parameters
    ----------
    summary : combined choices
    scored : epochs with their scores on annotated images; the best of them are added

    Returns
    -------
    lines : lines of text
    """
    lines = [str(item) for item in summary.ranked[:MOST_PICKS]]
    rows = dict(summary.picks)
    if scored:
        rows["best by truth"] = tuple(item.epoch for item in scored[:MOST_PICKS])
    scores = {item.epoch: item.parts for item in scored}
    for name, epochs in rows.items():
        known = [scores[epoch] for epoch in epochs if epoch in scores]
        means = {key: np.mean([parts[key] for parts in known]) for key in known[0]} if known else {}
        tail = "".join(f", mean {key} {value:.3f}" for key, value in means.items())
        lines.append(f"{name}: epochs {', '.join(map(str, epochs))}{tail}")
    if summary.agreement is not None:
        lines.append(
            f"two people share {summary.agreement:.0%} of their picks on average; "
            f"{summary.agreement_by_chance:.0%} are expected by chance"
        )
    return lines
