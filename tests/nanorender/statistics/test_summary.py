import numpy as np
import pandas as pd
import pytest
from shapes import disc

from nanorender.errors import InputError
from nanorender.measuring.measure import measure
from nanorender.measuring.sizes import SIZE_QUANTITIES
from nanorender.statistics.frame import FRAME_RULES
from nanorender.statistics.sampling import FieldOfView, size_floor
from nanorender.statistics.summary import Statistics, summarize, summarized_columns

FEW = Statistics(resamples=200)


def lognormal_table(rng, count, median=80.0, gsd=1.4, image=None):
    """Return a table as `measure` makes it, of discs with log-normal diameters in nm."""
    diameter = median * np.exp(rng.normal(0, np.log(gsd), count))
    columns = {
        f"{name}_nm": diameter
        for name in ("equivalent_diameter", "min_feret", "max_feret", "inscribed_diameter")
    }
    table = pd.DataFrame(columns | {"area_nm2": np.pi / 4 * diameter**2, "touches_frame": False})
    table["bbox_width_px"] = table["bbox_height_px"] = np.ceil(diameter).astype(int)
    return table if image is None else table.assign(image=image)


def field(name="one", pixel_size_nm: float | None = 1.0):
    return FieldOfView(name, 1000, 2000, pixel_size_nm)


def test_a_lognormal_sample_gives_back_its_parameters():
    table = lognormal_table(np.random.default_rng(1), 4000)
    summary = summarize(table, [field()], FEW, np.random.default_rng(2))
    sizes = summary.sizes
    spread = np.exp(1.2816 * np.log(1.4))  # D90 / D50 of a log-normal distribution
    expected = {
        "d10": 80 / spread,
        "d50": 80,
        "d90": 80 * spread,
        "mean": 80 * np.exp(np.log(1.4) ** 2 / 2),
        "mode": 80 * np.exp(-(np.log(1.4) ** 2)),
        "geometric_standard_deviation": 1.4,
        "span": spread - 1 / spread,
    }
    for name, value in expected.items():
        assert sizes[name].value == pytest.approx(value, rel=0.06)
        assert sizes[name].low <= sizes[name].value <= sizes[name].high
    assert summary.fit is not None
    assert summary.fit.name == "log-normal"


@pytest.mark.parametrize("quantity", SIZE_QUANTITIES)
@pytest.mark.parametrize("rule", FRAME_RULES)
@pytest.mark.parametrize("weighting", ["number", "volume"])
def test_the_named_columns_are_those_that_count(quantity, rule, weighting):
    labels = np.zeros((60, 80), np.int32)
    labels[:20, 5:15], labels[30:44, 10:38], labels[40:49, 60:69] = 1, 2, 3
    settings = Statistics(
        quantity=quantity, frame_correction=rule, weighting=weighting, resamples=20
    )
    table = measure(labels, 2.0).assign(image="one", struck_out=[False, True, False])
    needed = table[[name for name in table if name in summarized_columns(settings)]]
    fields = [FieldOfView("one", 80, 60, 2.0)]
    whole, part = (
        summarize(each, fields, settings, np.random.default_rng(0)).to_dict()
        for each in (table, needed)
    )
    assert len(needed.columns) < len(table.columns) / 2
    np.testing.assert_equal(part, whole)


def test_volume_weights_move_the_median_by_hatch_and_choate():
    table = lognormal_table(np.random.default_rng(3), 4000)
    settings = Statistics(weighting="volume", resamples=20)
    summary = summarize(table, [field()], settings, np.random.default_rng(0))
    # ln of the volume median = ln of the number median + 3 ln^2 GSD (Hatch and Choate 1929)
    expected = 80 * np.exp(3 * np.log(1.4) ** 2)
    assert summary.sizes["d50"].value == pytest.approx(expected, rel=0.06)
    assert summary.settings.weighting == "volume"


def test_whole_particles_are_weighted_by_their_whole_volume():
    table = lognormal_table(np.random.default_rng(3), 30).assign(equivalent_diameter_nm=1.0)
    table["amodal_diameter_nm"] = [10.0] * 29 + [100.0]
    settings = Statistics(quantity="amodal_diameter", weighting="volume", resamples=20)
    summary = summarize(table, [field()], settings, np.random.default_rng(0))
    assert summary.sizes["d50"].value == 100


def test_density_and_coverage_are_per_area_of_all_fields():
    table = lognormal_table(np.random.default_rng(4), 50, image="one")
    fields = [field("one", 2.0), field("empty", 2.0)]
    summary = summarize(table, fields, FEW, np.random.default_rng(0))
    assert summary.field_area == 2 * 1000 * 2000 * 4
    assert summary.number_density.value == pytest.approx(50 / summary.field_area)
    # The 95 % interval of a Poisson count of 50 is 37.11 to 65.92 (Garwood 1936).
    assert summary.number_density.low * summary.field_area == pytest.approx(37.11, abs=0.01)
    assert summary.number_density.high * summary.field_area == pytest.approx(65.92, abs=0.01)
    assert summary.coverage.value == pytest.approx(table["area_nm2"].sum() / summary.field_area)


def test_images_that_differ_widen_the_interval_when_images_are_resampled():
    rng = np.random.default_rng(5)
    names = [f"image {index}" for index in range(6)]
    medians = (60, 70, 80, 90, 100, 110)
    tables = [
        lognormal_table(rng, 200, median, image=name)
        for name, median in zip(names, medians, strict=True)
    ]
    table, fields = pd.concat(tables, ignore_index=True), [field(name) for name in names]
    over_images = summarize(table, fields, FEW, np.random.default_rng(0))
    settings = Statistics(resamples=200, least_images=7)
    over_particles = summarize(table, fields, settings, np.random.default_rng(0))
    wide, narrow = over_images.sizes["mean"], over_particles.sizes["mean"]
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert "whole images" in over_images.interval_method
    assert "single particles" in over_particles.interval_method


def test_the_same_generator_gives_the_same_summary():
    table = lognormal_table(np.random.default_rng(1), 100)
    one, other = (summarize(table, [field()], FEW, np.random.default_rng(9)) for _ in range(2))
    assert one.to_dict() == other.to_dict()


def test_the_needed_number_brings_the_interval_to_the_target():
    table = lognormal_table(np.random.default_rng(6), 100)
    needed = summarize(table, [field()], FEW, np.random.default_rng(0)).needed.particles
    # Asymptotically 1.2533 x 1.96 x ln(1.4) / sqrt(n) = 0.05, so n = 273; n - 100 more.
    assert needed is not None
    assert 60 < needed < 400
    more = lognormal_table(np.random.default_rng(7), 2000)
    assert summarize(more, [field()], FEW, np.random.default_rng(0)).needed.particles == 0


def test_a_table_in_pixels_has_no_share_below_100_nm():
    labels = disc((40, 60), 20, 20, 12).astype(np.int32) + 2 * disc((40, 60), 45, 20, 20)
    fields = [FieldOfView("one", 60, 40, None)]
    summary = summarize(measure(labels, None), fields, FEW, np.random.default_rng(0))
    assert summary.unit == "px"
    assert summary.nanoscale == ()
    assert summary.field_area == 2400
    assert summary.coverage.value == pytest.approx((labels > 0).mean())


def test_an_empty_table_gives_a_summary_without_numbers():
    table = measure(np.zeros((20, 30), np.int32), 2.0)
    fields = [FieldOfView("one", 30, 20, 2.0)]
    floor = size_floor(2.0, 10, 0, None)
    summary = summarize(table, fields, FEW, np.random.default_rng(0), floor)
    record = summary.to_dict()
    assert (record["particles"], record["fit"], record["fits"]) == (0, None, [])
    assert np.isnan(list(record["sizes"]["d50"].values())).all()
    assert record["nanoscale"][0]["verdict"] == "undecided"
    assert record["needed"] == {"particles": None, "images": None}


def test_tables_that_do_not_fit_the_fields_are_refused():
    rng = np.random.default_rng(0)
    table = lognormal_table(rng, 5)
    with pytest.raises(InputError, match="no column 'image'"):
        summarize(table, [field("a"), field("b")], FEW, rng)
    with pytest.raises(InputError, match="particles of the image 'x'"):
        summarize(table.assign(image="x"), [field("a")], FEW, rng)
    with pytest.raises(InputError, match="no column area_nm2"):
        summarize(pd.DataFrame({"size": [1.0]}), [field()], FEW, rng)
