"""The one error that is the user's to mend."""

LONGEST_LINE = 1000


class InputError(ValueError):
    """Input that cannot be used: one line that says what is wrong, what is allowed, how to go on.

    The command line prints the line without a traceback and exits with code 2. What it quotes may
    come from hostile hands: line ends and control characters are escaped, and the middle of what is
    too long is left out.
    """

    def __init__(self, line: str) -> None:
        super().__init__(_printable(line))


class UnwritableError(InputError):
    """A place that cannot be written: whatever else there is to do would fail there, too."""


def _printable(text: str) -> str:
    """Return a text as one line that leaves a terminal as it is."""
    line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"
