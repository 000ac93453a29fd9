"""Errors that the user can fix."""

LONGEST_LINE = 1000


class InputError(ValueError):
    """Invalid input, described in one line: problem, value, allowed range, remedy.

    The command line prints the line without traceback and exits with code 2. Since it may quote
    untrusted input, control characters are escaped and long lines are shortened in the middle.

    Examples
    --------
    >>> raise InputError("count must be at least 1, got -3")
    Traceback (most recent call last):
    nanorender.errors.InputError: count must be at least 1, got -3
    """

    def __init__(self, line: str) -> None:
        super().__init__(_printable(line))


class UnwritableError(InputError):
    """Output that cannot be written; all further output to the same folder would fail as well."""


def _printable(text: str) -> str:
    """Make a text safe to print: one line of limited length without control characters."""
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"
