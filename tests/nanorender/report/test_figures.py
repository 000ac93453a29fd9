import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread

from nanorender.report.figures import (
    FIT,
    MEASURED,
    TRUE,
    cumulative_curve,
    numbered_overlay,
    save,
    save_pixels,
    size_histogram,
)
from nanorender.report.overlay import overlay
from nanorender.statistics.sampling import FieldOfView, SizeFloor
from nanorender.statistics.summary import Statistics, summarize


def lognormal_sizes(count=400):
    return np.random.default_rng(3).lognormal(np.log(80), 0.3, count)


def summary_of(sizes, **settings):
    """Return the statistics of particles with these equivalent circle diameters in nm."""
    columns = ("equivalent_diameter_nm", "min_feret_nm", "inscribed_diameter_nm", "area_nm2")
    table = pd.DataFrame(dict.fromkeys(columns, sizes))
    rng = np.random.default_rng(0)
    fields = [FieldOfView("one", 1000, 1000, 1.0)]
    return summarize(table, fields, Statistics(resamples=20, **settings), rng)


def test_the_histogram_counts_every_particle_once_in_equal_classes():
    sizes = lognormal_sizes()
    axes = size_histogram(summary_of(sizes)).axes[0]
    edges = [bar.get_x() for bar in axes.patches]
    assert sum(bar.get_height() for bar in axes.patches) == len(sizes)
    assert np.allclose(np.diff(edges), axes.patches[0].get_width())
    assert edges[0] <= sizes.min() < edges[1]
    assert axes.get_xlim()[1] >= sizes.max()


def test_weights_add_up_in_the_classes():
    sizes = lognormal_sizes(50)
    axes = size_histogram(summary_of(sizes, weighting="volume")).axes[0]
    edges = [bar.get_x() for bar in axes.patches] + [np.inf]
    volumes, _ = np.histogram(sizes, edges, weights=100 * sizes**3 / (sizes**3).sum())
    assert [bar.get_height() for bar in axes.patches] == pytest.approx(volumes)
    assert axes.get_ylabel() == "share of the volume (%) per class"
    assert not axes.lines[3:]  # three percentiles; fits are by number


def test_frame_corrected_counts_are_drawn_with_their_weights():
    summary = summary_of(lognormal_sizes(50))
    weighted = replace(summary, sample=replace(summary.sample, weights=np.full(50, 1.5)))
    axes = size_histogram(weighted).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(75)
    assert "frame-corrected" in axes.get_ylabel()


def test_the_fit_over_the_histogram_holds_as_many_particles_as_were_measured():
    sizes = lognormal_sizes()
    summary = summary_of(sizes)
    axes = size_histogram(summary).axes[0]
    (line,) = (line for line in axes.lines if to_hex(line.get_color()) == FIT)
    x, y = line.get_data()
    particles = np.trapezoid(y, x) / axes.patches[0].get_width()
    assert particles == pytest.approx(len(sizes) * summary.fit.cumulative(x[-1:])[0], rel=1e-3)


def test_the_cumulative_curve_passes_the_median_at_one_half():
    sizes = lognormal_sizes(401)
    axes = cumulative_curve(summary_of(sizes)).axes[0]
    (line,) = (line for line in axes.lines if to_hex(line.get_color()) == MEASURED)
    x, y = line.get_data()
    assert x[np.argmax(y >= 0.5)] == np.median(sizes)
    assert y[-1] == pytest.approx(1)


def test_the_truth_is_drawn_over_the_measured_sizes_in_the_same_classes():
    sizes = lognormal_sizes(100)
    true = sizes[:60] * 1.5
    axes = size_histogram(summary_of(sizes), true).axes[0]
    (steps,) = (patch for patch in axes.patches if to_hex(patch.get_edgecolor()) == TRUE)
    counts, edges, _ = steps.get_data()
    assert counts.sum() == 60
    bars = [patch.get_x() for patch in axes.patches if patch is not steps]
    assert np.allclose(edges[:-1], bars)


def test_sizes_under_the_floor_are_shaded_and_percentiles_marked():
    floor = SizeFloor(40.0, "nm", {"pixel size": 40.0})
    shown = replace(summary_of(lognormal_sizes()), floor=floor)
    for figure in (size_histogram(shown), cumulative_curve(shown)):
        axes = figure.axes[0]
        (zone,) = (patch for patch in axes.patches if patch.get_hatch())
        corners = zone.get_path().transformed(zone.get_patch_transform()).vertices
        assert (corners[:, 0].min(), corners[:, 0].max()) == (0, 40)
        assert [text.get_text().strip() for text in axes.texts] == ["D10", "D50", "D90"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_particles_or_none_give_figures_too(count, tmp_path):
    floor = SizeFloor(12.0, "nm", {"pixel size": 12.0})
    shown = replace(summary_of(lognormal_sizes(count)), floor=floor)
    save(size_histogram(shown), tmp_path / "histogram")
    save(cumulative_curve(shown), tmp_path / "cumulative")
    assert len(size_histogram(shown).axes[0].texts) == (3 if count else 0)
    assert len(list(tmp_path.iterdir())) == 4


def test_the_same_figure_gives_the_same_bytes_without_a_date(tmp_path):
    for name in ("first", "second"):
        save(size_histogram(summary_of(lognormal_sizes())), tmp_path / name)
    for suffix in (".png", ".svg"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\dT", (tmp_path / "first.svg").read_text())
    assert imread(tmp_path / "first.png").ndim == 3


def test_the_numbered_overlay_is_the_overlay_but_for_numbers_and_scale_bar(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (123, 211), np.uint8)
    labels = np.zeros(image.shape, np.int32)
    labels[40:80, 60:110] = 1
    save_pixels(numbered_overlay(image, labels), tmp_path / "overlay.png")
    drawn = np.round(255 * imread(tmp_path / "overlay.png")[..., :3])
    expected = overlay(image, labels)
    assert drawn.shape == expected.shape
    differs = (drawn != expected).any(axis=2)
    corner = np.zeros(labels.shape, bool)
    corner[100:, :80] = True  # of the scale bar
    assert differs[corner].any()
    assert differs[labels == 1].any()
    assert not differs[(labels == 0) & ~corner].any()
