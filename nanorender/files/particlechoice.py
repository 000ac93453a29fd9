"""Choices of particles: JSON files that name the particles of label maps struck out by hand.

The page of a report exports them. Each names the hash of the label map that it was made for.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Integer
from pydantic import Field, PositiveInt, ValidationError, field_validator

from nanorender.errors import InputError
from nanorender.files.segmentation import Segmented, find_label_maps, hash_labels
from nanorender.settings import Settings, first_problem, read_text

FORMAT = "nanorender-particles-1"
LARGEST_CHOICE_BYTES = 1 << 26


class StruckOut(Settings):
    """Particles of one label map that are struck out."""

    image: str
    """Name of the label map, without extension."""
    labels_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Hash of its labels, see `hash_labels`."""
    struck_out: tuple[PositiveInt, ...]
    """Labels of the particles."""

    @field_validator("struck_out")
    @classmethod
    def _check_unique(cls, labels: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(labels)) < len(labels):
            raise ValueError("a particle is listed twice")
        return labels


class ParticleChoice(Settings):
    """Particles of a study that are struck out, as exported from the page of a report.

    Examples
    --------
    >>> labels = np.array([[1, 0, 2]])
    >>> struck = StruckOut(image="a", labels_sha256=hash_labels(labels), struck_out=(2,))
    >>> choice = ParticleChoice(format=FORMAT, images=(struck,))
    >>> choice.struck_out("a", labels), choice.struck_out("b", labels)
    (frozenset({2}), frozenset())
    >>> choice.struck_out("a", np.array([[1, 2, 2]]))
    Traceback (most recent call last):
    nanorender.errors.InputError: the choice was made for another label map of 'a'...
    """

    format: Literal["nanorender-particles-1"]
    """Format of the file, `FORMAT`."""
    images: tuple[StruckOut, ...]
    """The label maps with particles struck out."""

    @field_validator("images")
    @classmethod
    def _check_names(cls, images: tuple[StruckOut, ...]) -> tuple[StruckOut, ...]:
        names = [each.image for each in images]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the image '{name}' is listed twice")
        return images

    def check_names(self, names: Iterable[str]) -> None:
        """Refuse a choice with other images.

        Parameters
        ----------
        names
            Names of the label maps.

        Raises
        ------
        InputError
            If an image of the choice is not among them.
        """
        unknown = sorted({each.image for each in self.images} - set(names))
        if unknown:
            raise InputError(
                f"the choice has particles of '{unknown[0]}', of which there is no label map; give "
                "the folder for which the choice was made"
            )

    def struck_out(self, name: str, labels: Integer[np.ndarray, "h w"]) -> frozenset[int]:
        """Find the particles of a label map that are struck out.

        Parameters
        ----------
        name
            Name of the label map.
        labels
            (h, w) label map.

        Returns
        -------
        frozenset
            Their labels.

        Raises
        ------
        InputError
            If the choice was made for another label map of this name, or lists a label that does
            not exist.
        """
        for each in self.images:
            if each.image != name:
                continue
            if each.labels_sha256 != hash_labels(labels):
                raise InputError(
                    f"the choice was made for another label map of '{name}'; export it again from "
                    "a report on these label maps"
                )
            missing = sorted(set(each.struck_out) - set(np.unique(labels).tolist()))
            if missing:
                raise InputError(
                    f"the choice strikes out particle {missing[0]} of '{name}', which does not "
                    "exist; correct the file"
                )
            return frozenset(each.struck_out)
        return frozenset()


def read_particle_choice(path: Path) -> ParticleChoice:
    """Read a choice of particles.

    Parameters
    ----------
    path
        JSON file exported from the page of a report.

    Returns
    -------
    ParticleChoice
        The particles struck out.

    Raises
    ------
    InputError
        If it is not such a file.
    """
    text = read_text(path, LARGEST_CHOICE_BYTES)
    try:
        return ParticleChoice.model_validate_json(text)
    except ValidationError as error:
        problem = first_problem(error, ParticleChoice)
    except RecursionError:
        problem = "too many brackets"
    raise InputError(f"{path} is no choice of particles exported from a report: {problem}")


def check_choice(choice: ParticleChoice, folder: Path, read: Callable[[Path], Segmented]) -> None:
    """Refuse a choice that was made for other label maps, before anything is done.

    Parameters
    ----------
    choice
        The particles struck out.
    folder
        Folder of label maps.
    read
        Reads a label map.

    Raises
    ------
    InputError
        If an image has no label map, or not the one for which the choice was made.
    """
    maps = {path.stem: path for path in find_label_maps(folder)}
    choice.check_names(maps)
    for each in choice.images:
        choice.struck_out(each.image, read(maps[each.image]).labels)
