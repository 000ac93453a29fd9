import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from nanorender.errors import InputError
from nanorender.statistics.bootstrap import STATISTICS, Estimate
from nanorender.statistics.sampling import FieldOfView
from nanorender.statistics.summary import Statistics, summarize
from nanorender.statistics.uncertainty import widened

FIELDS = [FieldOfView("one", 1000, 2000, 1.0)]


def table_of(sizes, unit="nm"):
    """Return a table of discs as `measure` makes it."""
    names = ("equivalent_diameter", "min_feret", "inscribed_diameter")
    columns = {f"{name}_{unit}": sizes for name in names}
    table = pd.DataFrame(columns | {f"area_{unit}2": np.pi / 4 * sizes**2})
    return table.assign(touches_frame=False, bbox_width_px=9, bbox_height_px=9)


def summary_of(sizes, percent, unit="nm"):
    settings = Statistics(resamples=300, pixel_size_uncertainty_percent=percent)
    return summarize(table_of(sizes, unit), FIELDS, settings, np.random.default_rng(0))


def sizes_around(median, count=400):
    return median * np.exp(np.random.default_rng(5).normal(0, 0.3, count))


def half_widths(estimate):
    return estimate.value - estimate.low, estimate.high - estimate.value


def test_the_limits_of_an_exact_value_are_those_of_the_pixel_size():
    wide = widened(Estimate(50.0, 50.0, 50.0), 0.02, 0.95)
    assert half_widths(wide) == pytest.approx((1.95996, 1.95996), rel=1e-5)


def test_an_unknown_value_stays_unknown():
    assert np.isnan(widened(Estimate(np.nan, np.nan, np.nan), 0.1, 0.95).low)


def test_lengths_and_densities_are_widened_in_quadrature_and_ratios_are_not():
    sizes = sizes_around(80.0)
    plain, wide = summary_of(sizes, None), summary_of(sizes, 3.0)
    for name, statistic in STATISTICS.items():
        before, after = plain.sizes[name], wide.sizes[name]
        assert after.value == before.value
        added = 1.959964 * 0.03 * after.value if statistic.is_length else 0.0
        expected = [np.hypot(half, added) for half in half_widths(before)]
        assert half_widths(after) == pytest.approx(expected, rel=1e-6)
    expected = np.hypot(half_widths(plain.number_density), 0.1175978 * plain.number_density.value)
    assert half_widths(wide.number_density) == pytest.approx(expected, rel=1e-5)
    assert wide.coverage == plain.coverage
    assert wide.needed == plain.needed  # more particles do not help against it


def test_the_share_below_the_limit_moves_as_the_sizes_do():
    sizes = sizes_around(100.0)
    plain, wide = summary_of(sizes, None).nanoscale[0], summary_of(sizes, 5.0).nanoscale[0]
    half = 1.959964 * 0.05
    down, up = (np.mean(sizes * factor < 100) for factor in (1 + half, 1 - half))
    assert wide.low == pytest.approx(
        wide.value - np.hypot(wide.value - plain.low, wide.value - down)
    )
    assert wide.high == pytest.approx(
        wide.value + np.hypot(plain.high - wide.value, up - wide.value)
    )


def test_a_verdict_can_become_undecided():
    sizes = sizes_around(88.0)
    assert summary_of(sizes, None).nanoscale[0].verdict == "above"
    assert summary_of(sizes, 12.0).nanoscale[0].verdict == "undecided"


def test_the_method_of_the_intervals_names_it():
    sizes = sizes_around(50.0, 20)
    assert (
        "standard uncertainty of the pixel size of 1.5 %" in summary_of(sizes, 1.5).interval_method
    )
    assert "pixel size" not in summary_of(sizes, None).interval_method


def test_an_unknown_pixel_size_has_no_uncertainty():
    with pytest.raises(InputError, match="the pixel size is unknown; leave it out"):
        summary_of(sizes_around(50.0, 20), 1.0, "px")
    with pytest.raises(ValidationError):
        Statistics(pixel_size_uncertainty_percent=0.0)
