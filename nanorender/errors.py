"""The one error that is the user's to mend."""


class InputError(ValueError):
    """Input that cannot be used: one line that says what is wrong, what is allowed, how to go on.

    The command line prints the line without a traceback and exits with code 2.
    """


class UnwritableError(InputError):
    """A place that cannot be written: whatever else there is to do would fail there, too."""
