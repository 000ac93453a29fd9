import numpy as np
import pytest

from nanorender.measuring.measure import measure
from nanorender.report.findings import SIZE_FIGURES, findings
from nanorender.scoring.results import ImageResult
from nanorender.statistics.groups import Groups
from nanorender.statistics.sampling import FieldOfView, size_floor
from nanorender.statistics.summary import Statistics, summarize


def squares(pixel_size_nm=2.0):
    """Return an image with squares of edges 4 to 23 pixels, one of them cut by the frame."""
    labels = np.zeros((120, 150), np.int32)
    for index, edge in enumerate(range(4, 24)):
        y, x = 26 * (index // 5), 2 + 29 * (index % 5)
        labels[y : y + edge, x : x + edge] = index + 1
    labels[1:, :] = labels[:-1, :].copy()
    labels[:1] = 0
    labels[110:120, 140:150] = 21
    image = np.zeros(labels.shape, np.uint8)
    return ImageResult(
        "squares", image, labels, pixel_size_nm, "header", measure(labels, pixel_size_nm, image)
    )


def found(result, **settings):
    floor = size_floor(result.pixel_size_nm, 9.0, 0.0, None)
    field = FieldOfView("squares", 150, 120, result.pixel_size_nm)
    statistics = Statistics(resamples=40, **settings)
    summary = summarize(result.table, [field], statistics, np.random.default_rng(0), floor)
    return summary, findings(Groups({}, {}, summary), [result])


def test_the_plots_show_the_particles_that_were_counted():
    summary, words = found(squares(), frame_correction="drop")
    assert summary.left_out == 1
    assert len(words.sizes.sizes) == summary.particles == 20
    assert words.sizes.weights.tolist() == [1] * 20
    assert words.sizes.floor == summary.floor.value
    assert words.sizes.percentiles[50] == summary.sizes["d50"]


def test_frame_corrected_counts_are_plotted_with_their_weights():
    summary, words = found(squares(), frame_correction="miles_lantuejoul")
    density = words.sizes.weights.sum() / summary.field_area
    assert density == pytest.approx(summary.number_density.value)
    assert "frame-corrected" in words.sizes.amount


def test_volumes_add_up_to_100_percent_and_have_no_fit_by_number():
    _, words = found(squares(), weighting="volume", quantity="equivalent_diameter")
    shares = words.sizes.sizes**3 / (words.sizes.sizes**3).sum()
    assert words.sizes.weights == pytest.approx(100 * shares)
    assert words.sizes.fit is None
    median = next(each for each in words.key_figures if each.name == "Median, D50, volume-weighted")
    assert median.how == "half of the volume below it"
    assert "Q_3" in words.sizes.cumulative


def test_areas_and_densities_are_in_micrometers():
    _, words = found(squares(pixel_size_nm=2.0))
    figures = {figure.name: figure.value for figure in words.key_figures}
    assert figures["Field of view"] == f"{150 * 120 * 4 / 1e6:.5f} µm²"  # four digits
    density = 21 / (150 * 120 * 4 / 1e6)  # whose interval is hundreds wide
    assert figures["Number density"] == f"{round(density, -1):.0f} per µm²"


def test_without_a_pixel_size_nothing_is_said_in_nm():
    _, words = found(squares(pixel_size_nm=None))
    assert not any("nm" in figure.value for figure in words.key_figures)
    assert not any("Share below" in figure.name for figure in words.key_figures)
    assert any("pixel size is unknown" in note for note in words.notes)


def test_every_share_below_the_limit_has_its_verdict():
    summary, words = found(squares(pixel_size_nm=1.0))
    shares = [
        figure for figure in words.key_figures if figure.name.startswith("Share below 100 nm, ")
    ]
    assert len(shares) == len(summary.nanoscale) == 2
    assert all(figure.value == "100.0 %" for figure in shares)
    assert all("above the 50 % of recommendation 2022/C 229/01" in each.how for each in shares)


def test_every_figure_of_the_summary_has_its_words():
    summary, words = found(squares())
    assert set(SIZE_FIGURES) == set(summary.sizes)
    assert all(figure.how for figure in words.key_figures)
