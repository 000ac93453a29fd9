"""Settings: frozen records parsed from TOML, which refuse keys that they do not know."""

import tomllib
from pathlib import Path
from typing import Annotated, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nanorender.errors import InputError

LARGEST_TEXT_BYTES = 1 << 20
"""No settings that a person wrote are longer."""

SMALLEST, LARGEST = 1e-60, 1e60
"""Sizes of numbers other than 0; their squares and ratios are neither infinite nor nothing."""

LONGEST_QUOTE = 80

AnySettings = TypeVar("AnySettings", bound="Settings")

Fraction = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*")
    @classmethod
    def _of_some_proportion(cls, value: object) -> object:
        if isinstance(value, tuple):
            for part in value:
                cls._of_some_proportion(part)
        elif isinstance(value, float) and value and not SMALLEST <= abs(value) <= LARGEST:
            raise ValueError(f"numbers other than 0 must be of a size from {SMALLEST} to {LARGEST}")
        return value

    @classmethod
    def from_toml(cls: type[AnySettings], text: str, source: str) -> AnySettings:
        """Return the settings that a TOML text holds; `source` names it in errors.

        Raises
        ------
        InputError
            If the text is no TOML, or a key is unknown, missing or out of range.
        """
        try:
            return cls.model_validate(tomllib.loads(text))
        except ValidationError as error:
            raise InputError(f"{source}: {_first_problem(error)}") from None
        except (ValueError, RecursionError) as error:  # also of numbers of thousands of digits
            raise InputError(f"{source} is not valid TOML: {error}") from None

    @classmethod
    def read(cls: type[AnySettings], path: Path) -> AnySettings:
        """Return the settings in a TOML file; raises InputError as `from_toml`."""
        return cls.from_toml(read_text(path), str(path))

    def to_toml(self) -> str:
        """Return the settings as TOML, every key written out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def read_text(path: Path, largest_bytes: int = LARGEST_TEXT_BYTES) -> str:
    """Return the text of a file.

    Raises
    ------
    InputError
        If it cannot be read, or is larger than such a file can be.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no file; give a text file")
        with path.open("rb") as file:
            data = file.read(largest_bytes + 1)
        if len(data) > largest_bytes:
            raise InputError(f"{path} is longer than {largest_bytes >> 20} MiB; no such file is")
        return data.decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from None


def _first_problem(error: ValidationError) -> str:
    """One line about the first problem, with the count of the others."""
    problems = error.errors(include_url=False)
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    if not key:
        line = said
    elif first["type"] == "extra_forbidden":
        line = f"unknown key '{key}'; remove it or correct its spelling"
    elif first["type"] == "missing":
        line = f"'{key}' is missing"
    else:
        line = f"'{key}' (={_shortened(repr(first['input']))}): {said}"
    return line + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."
