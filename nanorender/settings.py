"""Settings: frozen records parsed from TOML, which refuse keys that they do not know."""

import tomllib
from pathlib import Path
from typing import TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from nanorender.errors import InputError

AnySettings = TypeVar("AnySettings", bound="Settings")


class Settings(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{source} is not valid TOML: {error}") from None
        except ValidationError as error:
            raise InputError(f"{source}: {_first_problem(error)}") from None

    @classmethod
    def read(cls: type[AnySettings], path: Path) -> AnySettings:
        """Return the settings in a TOML file; raises InputError as `from_toml`."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a TOML file: {error}") from None
        return cls.from_toml(text, str(path))

    def to_toml(self) -> str:
        """Return the settings as TOML, every key written out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def _first_problem(error: ValidationError) -> str:
    """One line about the first problem, with the count of the others."""
    problems = error.errors(include_url=False)
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        line = f"unknown key '{key}'; remove it or correct its spelling"
    elif first["type"] == "missing":
        line = f"'{key}' is missing"
    else:
        line = f"'{key}' (={first['input']!r}): {first['msg']}"
    return line + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
