"""Settings: immutable records read from TOML, in which unknown keys are errors."""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
)

from nanorender.errors import InputError

LARGEST_TEXT_BYTES = 1 << 20
"""Largest size of a file of settings."""

SMALLEST, LARGEST = 1e-60, 1e60
"""Magnitudes of numbers other than 0; their squares and ratios neither overflow nor underflow."""

LONGEST_QUOTE = 80

AnySettings = TypeVar("AnySettings", bound="Settings")

Fraction = Annotated[float, Field(ge=0, le=1)]

StoredPath = Annotated[Path, PlainSerializer(Path.as_posix, when_used="json-unless-none")]
"""Path written with forward slashes, which every system reads, so that files are the same bytes."""


class Settings(BaseModel):
    """Base class of all settings.

    Examples
    --------
    >>> class Camera(Settings):
    ...     tilt_deg: float = 0.0
    >>> Camera.from_toml("tilt_deg = 5", "camera.toml")
    Camera(tilt_deg=5.0)
    >>> Camera.from_toml("tilt = 5", "camera.toml")
    Traceback (most recent call last):
    nanorender.errors.InputError: camera.toml: unknown key 'tilt'; did you mean 'tilt_deg'?
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*")
    @classmethod
    def _check_magnitude(cls, value: object) -> object:
        if isinstance(value, tuple):
            for part in value:
                cls._check_magnitude(part)
        elif isinstance(value, float) and value and not SMALLEST <= abs(value) <= LARGEST:
            raise ValueError(f"the magnitude must be 0 or from {SMALLEST} to {LARGEST}")
        return value

    @classmethod
    def from_toml(cls: type[AnySettings], text: str, source: str) -> AnySettings:
        """Parse settings from TOML.

        Parameters
        ----------
        text
            The TOML text.
        source
            File or preset of the text, named in errors.

        Returns
        -------
        Settings
            An instance of the class.

        Raises
        ------
        InputError
            If the text is not TOML, or a key is unknown, missing or out of range.
        """
        try:
            return cls.model_validate(tomllib.loads(text))
        except ValidationError as error:
            raise InputError(f"{source}: {first_problem(error, cls)}") from None
        except (
            ValueError,
            RecursionError,
        ) as error:  # ValueError: also of huge numbers
            raise InputError(f"{source} is not valid TOML: {error}") from None

    @classmethod
    def read(cls: type[AnySettings], path: Path) -> AnySettings:
        """Read settings from a TOML file.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        Settings
            An instance of the class.

        Raises
        ------
        InputError
            As `from_toml` and `read_text`.
        """
        return cls.from_toml(read_text(path), str(path))

    def to_toml(self) -> str:
        """Format the settings as TOML.

        Returns
        -------
        str
            All keys, defaults included.
        """
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def read_text(path: Path, largest_bytes: int = LARGEST_TEXT_BYTES) -> str:
    """Read a UTF-8 text file of limited size.

    Parameters
    ----------
    path
        The file.
    largest_bytes
        Size above which the file is refused.

    Returns
    -------
    str
        Its content, with Unix line ends and without a byte order mark.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8, or is too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file; give a text file")
        with path.open("rb") as file:
            data = file.read(largest_bytes + 1)
        if len(data) > largest_bytes:
            raise InputError(
                f"{path} exceeds the limit of {largest_bytes >> 20} MiB for such files"
            )
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from None


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first problem in one line, with the number of others.

    Unknown keys come first: a misspelled key is also reported as missing.

    Parameters
    ----------
    error
        The error of a pydantic model.
    model
        The model, whose keys are suggested in place of unknown ones.

    Returns
    -------
    str
        Key, value and problem.
    """
    problems = error.errors(include_url=False)
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    match first["type"]:
        case _ if not key:
            line = message
        case "extra_forbidden":
            line = _unknown_key(key, _known_keys(model, first["loc"]))
        case "union_tag_not_found" if isinstance(first["input"], Mapping):
            tag = str(first.get("ctx", {}).get("discriminator", "")).strip("'")
            written = get_close_matches(tag, map(str, first["input"]), n=1)
            line = f"'{key}.{tag}' is missing; add it"
            if written:
                line = _unknown_key(f"{key}.{written[0]}", {tag})
        case "missing":
            line = f"'{key}' is missing; add it"
        case _:
            line = f"'{key}' (={_shortened(repr(first['input']))}): {message}"
    others = len(problems) - 1
    return line + (f" (and {others} more problem{'s' * (others > 1)})" if others else "")


def _unknown_key(key: str, known: set[str]) -> str:
    """Describe an unknown key, with the most similar known one."""
    similar = get_close_matches(key.rpartition(".")[2], sorted(known), n=1)
    remedy = f"did you mean '{similar[0]}'?" if similar else "remove it or correct its spelling"
    return f"unknown key '{key}'; {remedy}"


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> set[str]:
    """Return the keys that a model allows beside a key at a place in nested settings."""
    models = [model]
    for part in place[:-1]:
        # A part is the kind that selects a model, a key, or else a number or a name in a table.
        of_kind = [each for each in models if part == _kind(each)]
        fields = [each.model_fields[part] for each in models if part in each.model_fields]
        inner = [each for field in fields for each in _models_in(field.annotation)]
        models = of_kind or inner or models
    return {name for each in models for name in each.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in a type, such as the members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _kind(model: type[BaseModel]) -> object:
    """Return the name that selects a model of a union, None if there is none."""
    field = model.model_fields.get("kind")
    return None if field is None else field.default


def _shortened(text: str) -> str:
    """Truncate a quoted value."""
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."
