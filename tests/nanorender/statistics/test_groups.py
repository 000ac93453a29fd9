import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nanorender.errors import InputError
from nanorender.statistics.groups import samples_by_name, statistics_tables, summarize_groups
from nanorender.statistics.sampling import FieldOfView
from nanorender.statistics.summary import Statistics

SETTINGS = Statistics(resamples=200)
NAMES = ("e171_1", "e171_2", "food_1", "food_2", "empty_1")


@pytest.fixture(scope="module")
def groups():
    rng = np.random.default_rng(0)
    rows = []
    for index, name in enumerate(NAMES[:4]):
        diameter = rng.lognormal(np.log(100 + 50 * index), 0.3, 40)
        rows.append(
            pd.DataFrame(
                {
                    "image": name,
                    "equivalent_diameter_nm": diameter,
                    "min_feret_nm": 0.8 * diameter,
                    "inscribed_diameter_nm": 0.7 * diameter,
                    "area_nm2": np.pi / 4 * diameter**2,
                }
            )
        )
    table = pd.concat(rows, ignore_index=True)
    fields = [FieldOfView(name, 1000, 800, 2.0) for name in NAMES]
    sample_of = samples_by_name(NAMES, "^[^_]+")
    return table, list(summarize_groups(table, fields, sample_of, SETTINGS))


def test_images_samples_and_all_have_a_row_each(groups):
    (rows,) = statistics_tables(groups[1])
    assert rows["level"].tolist() == ["image"] * 5 + ["sample"] * 3 + ["all"]
    assert rows["name"].tolist() == [*NAMES, "e171", "food", "empty", "all images"]
    assert rows["particles"].tolist() == [40] * 4 + [0] + [80, 80, 0, 160]
    assert rows["images"].tolist() == [1] * 5 + [2, 2, 1, 5]


def test_a_samples_figures_are_those_of_its_particles_alone(groups):
    table, found = groups
    (rows,) = statistics_tables(found)
    rows = rows.set_index("name")
    sizes = table.loc[table["image"].str.startswith("food"), "equivalent_diameter_nm"]
    row = rows.loc["food"]
    assert row["mean_nm"] == pytest.approx(sizes.mean())
    assert row["geometric_standard_deviation"] == pytest.approx(np.exp(np.log(sizes).std()))
    assert row["share_below_100nm_min_feret"] == pytest.approx((0.8 * sizes < 100).mean())
    assert row["field_area_nm2"] == 2 * 1000 * 800 * 4
    expected = stats.bootstrap((sizes,), np.mean, method="percentile", rng=1).confidence_interval
    assert row["mean_nm_low"] == pytest.approx(expected.low, rel=0.02)
    assert row["mean_nm_high"] == pytest.approx(expected.high, rel=0.02)


def test_samples_are_found_by_the_first_parenthesis():
    assert samples_by_name(["day1_a_7"], "_([a-z])_") == {"day1_a_7": "a"}
    with pytest.raises(InputError, match="does not match the image name 'b'"):
        samples_by_name(["a_1", "b"], "_")
    with pytest.raises(InputError, match="not a valid regular expression"):
        samples_by_name(["a"], "(")


def test_many_groups_have_several_tables(groups, monkeypatch):
    (expected,) = statistics_tables(groups[1])
    monkeypatch.setattr("nanorender.statistics.groups._BLOCK_ROWS", 2)
    tables = list(statistics_tables(iter(groups[1])))
    assert [len(table) for table in tables] == [2, 2, 2, 2, 1]
    pd.testing.assert_frame_equal(pd.concat(tables, ignore_index=True), expected)
