"""Numbers as text: the filters of the report's template."""

import numpy as np

from nanorender.statistics.bootstrap import Estimate

DASH = "\u2013"  # en dash of ranges


def number(value: object) -> str:
    """Format a value with four significant digits.

    Parameters
    ----------
    value : number, truth value, text or None

    Returns
    -------
    text, empty for None and for non-finite numbers

    Examples
    --------
    >>> number(403.14), number(123456.7), number(float("nan")), number(True)
    ('403.1', '123457', '', 'yes')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return ""
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}".removesuffix(".")
    return "" if value is None else str(value)


def quantity(value: object, unit: str) -> str:
    """Format a value with its unit.

    Parameters
    ----------
    value : as in `number`
    unit : may be empty

    Returns
    -------
    text, empty if the value is unknown

    Examples
    --------
    >>> quantity(12.3456, "nm")
    '12.35 nm'
    """
    text = number(value)
    return f"{text} {unit}".strip() if text else ""


def rounded(estimate: Estimate) -> tuple[str, str, str]:
    """Round an estimate to two digits of the half-width of its interval.

    As in the Guide to the Expression of Uncertainty in Measurement (JCGM 100:2008), 7.2.6. A value
    without an interval has four significant digits.

    Parameters
    ----------
    estimate : value and interval

    Returns
    -------
    value and limits of the interval; empty if unknown

    Examples
    --------
    >>> rounded(Estimate(193.049, 186.892, 205.509))
    ('193.0', '186.9', '205.5')
    """
    half = (estimate.high - estimate.low) / 2
    if not (np.isfinite(half) and half > 0 and np.isfinite(estimate.value)):
        return number(estimate.value), number(estimate.low), number(estimate.high)
    digits = 1 - int(np.floor(np.log10(half)))
    numbers = (estimate.value, estimate.low, estimate.high)
    value, low, high = (f"{round(each, digits):.{max(digits, 0)}f}" for each in numbers)
    return value, low, high


def estimate_value(estimate: Estimate, unit: str = "") -> str:
    """Format the value of an estimate, rounded by its interval.

    Parameters
    ----------
    estimate : value and interval
    unit : may be empty

    Returns
    -------
    text, empty if the value is unknown

    Examples
    --------
    >>> estimate_value(Estimate(193.049, 186.892, 205.509), "nm")
    '193.0 nm'
    """
    value = rounded(estimate)[0]
    return f"{value} {unit}".strip() if value else ""


def interval(estimate: Estimate) -> str:
    """Format the interval of an estimate.

    Parameters
    ----------
    estimate : value and interval

    Returns
    -------
    text, empty if a limit is unknown

    Examples
    --------
    >>> interval(Estimate(193.049, 186.892, 205.509))
    '186.9 to 205.5'
    """
    _, low, high = rounded(estimate)
    return f"{low} to {high}" if low and high else ""


def value_with_interval(estimate: Estimate, unit: str = "") -> str:
    """Format an estimate with its interval in parentheses.

    Parameters
    ----------
    estimate : value and interval
    unit : may be empty

    Returns
    -------
    text, empty if the value is unknown

    Examples
    --------
    >>> value_with_interval(Estimate(50.0, 44.0, 56.0), "%")
    '50.0 % (44.0\u201356.0)'
    """
    value, low, high = rounded(estimate)
    if not value:
        return ""
    return f"{value} {unit}".strip() + (f" ({low}{DASH}{high})" if low and high else "")


FILTERS = {
    "number": number,
    "quantity": quantity,
    "estimate_value": estimate_value,
    "interval": interval,
    "value_with_interval": value_with_interval,
}
