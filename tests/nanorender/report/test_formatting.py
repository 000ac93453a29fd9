import numpy as np
import pytest

from nanorender.report.formatting import (
    estimate_value,
    interval,
    number,
    quantity,
    rounded,
    value_with_interval,
)
from nanorender.statistics.bootstrap import Estimate

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (403.14, "403.1"),
        (346.0, "346.0"),
        (999.99, "1000"),
        (123456.7, "123457"),
        (0.942, "0.9420"),
        (NAN, ""),
        (None, ""),
        (np.True_, "yes"),
        (False, "no"),
        (12, "12"),
    ],
)
def test_numbers_are_printed_with_four_digits(value, printed):
    assert number(value) == printed


def test_an_unknown_quantity_has_no_unit():
    assert quantity(12.0, "nm") == "12.00 nm"
    assert quantity(NAN, "nm") == ""


@pytest.mark.parametrize(
    ("estimate", "printed"),
    [
        (Estimate(193.049, 186.892, 205.509), ("193.0", "186.9", "205.5")),
        (Estimate(189.15, 160.2, 204.17), ("189", "160", "204")),
        (Estimate(1234.5, 900.0, 1500.0), ("1230", "900", "1500")),
        (Estimate(0.98765, 0.978, 0.997), ("0.9877", "0.9780", "0.9970")),
        (Estimate(12.3456, NAN, NAN), ("12.35", "", "")),
        (Estimate(5.0, 5.0, 5.0), ("5.000", "5.000", "5.000")),
    ],
)
def test_figures_have_two_digits_of_their_half_width(estimate, printed):
    assert rounded(estimate) == printed


def test_estimates_without_an_interval_or_a_value_leave_it_out():
    alone, unknown = Estimate(12.3456, NAN, NAN), Estimate(NAN, NAN, NAN)
    assert (estimate_value(alone, "nm"), interval(alone)) == ("12.35 nm", "")
    assert value_with_interval(alone) == "12.35"
    assert estimate_value(unknown, "nm") == interval(unknown) == value_with_interval(unknown) == ""
