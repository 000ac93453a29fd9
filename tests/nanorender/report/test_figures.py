import re

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread

from nanorender.report.figures import (
    FIT,
    MEASURED,
    TRUE,
    SizeDistribution,
    cumulative_curve,
    numbered_overlay,
    save,
    save_pixels,
    size_histogram,
)
from nanorender.report.overlay import overlay
from nanorender.statistics.bootstrap import Estimate
from nanorender.statistics.fits import fit_sizes


def lognormal_sizes(count=400):
    return np.random.default_rng(3).lognormal(np.log(80), 0.3, count)


def distribution(sizes, **more):
    return SizeDistribution(sizes, np.ones(len(sizes)), "equivalent circle diameter", "nm", **more)


def test_the_histogram_counts_every_particle_once_in_equal_classes():
    sizes = lognormal_sizes()
    axes = size_histogram(distribution(sizes)).axes[0]
    edges = [bar.get_x() for bar in axes.patches]
    assert sum(bar.get_height() for bar in axes.patches) == len(sizes)
    assert np.allclose(np.diff(edges), axes.patches[0].get_width())
    assert edges[0] <= sizes.min() < edges[1]
    assert axes.get_xlim()[1] >= sizes.max()


def test_weights_add_up_in_the_classes():
    sizes = lognormal_sizes(50)
    weighted = SizeDistribution(sizes, sizes**3, "size", "nm", amount="volume")
    axes = size_histogram(weighted).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == pytest.approx((sizes**3).sum())
    assert axes.get_ylabel() == "volume per class"


def test_the_fit_over_the_histogram_holds_as_many_particles_as_were_measured():
    sizes = lognormal_sizes()
    fit = fit_sizes(sizes, np.ones(len(sizes)))[1]
    axes = size_histogram(distribution(sizes, fit=fit)).axes[0]
    (line,) = (line for line in axes.lines if to_hex(line.get_color()) == FIT)
    x, y = line.get_data()
    particles = np.trapezoid(y, x) / axes.patches[0].get_width()
    assert particles == pytest.approx(len(sizes) * fit.cumulative(x[-1:])[0], rel=1e-3)


def test_the_cumulative_curve_passes_the_median_at_one_half():
    sizes = lognormal_sizes(401)
    axes = cumulative_curve(distribution(sizes)).axes[0]
    (line,) = (line for line in axes.lines if to_hex(line.get_color()) == MEASURED)
    x, y = line.get_data()
    assert x[np.argmax(y >= 0.5)] == np.median(sizes)
    assert y[-1] == pytest.approx(1)


def test_the_truth_is_drawn_over_the_measured_sizes_in_the_same_classes():
    sizes = lognormal_sizes(100)
    true = sizes[:60] * 1.5
    axes = size_histogram(distribution(sizes, true_sizes=true)).axes[0]
    (steps,) = (patch for patch in axes.patches if to_hex(patch.get_edgecolor()) == TRUE)
    counts, edges, _ = steps.get_data()
    assert counts.sum() == 60
    bars = [patch.get_x() for patch in axes.patches if patch is not steps]
    assert np.allclose(edges[:-1], bars)


def test_sizes_under_the_floor_are_shaded_and_percentiles_marked():
    marks = {10: Estimate(55.0, 50.0, 60.0), 50: Estimate(80.0, 78.0, 82.0)}
    shown = distribution(lognormal_sizes(), floor=40.0, percentiles=marks)
    for figure in (size_histogram(shown), cumulative_curve(shown)):
        axes = figure.axes[0]
        (zone,) = (patch for patch in axes.patches if patch.get_hatch())
        corners = zone.get_path().transformed(zone.get_patch_transform()).vertices
        assert (corners[:, 0].min(), corners[:, 0].max()) == (0, 40)
        assert [text.get_text().strip() for text in axes.texts] == ["D10", "D50"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_particles_or_none_give_figures_too(count, tmp_path):
    unknown = {50: Estimate(*[float("nan")] * 3)}
    shown = distribution(lognormal_sizes(count), percentiles=unknown, floor=12.0)
    save(size_histogram(shown), tmp_path / "histogram")
    save(cumulative_curve(shown), tmp_path / "cumulative")
    assert not size_histogram(shown).axes[0].texts
    assert len(list(tmp_path.iterdir())) == 4


def test_the_same_figure_gives_the_same_bytes_without_a_date(tmp_path):
    for name in ("first", "second"):
        save(size_histogram(distribution(lognormal_sizes())), tmp_path / name)
    for suffix in (".png", ".svg"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\dT", (tmp_path / "first.svg").read_text())
    assert imread(tmp_path / "first.png").ndim == 3


def test_the_numbered_overlay_is_the_overlay_pixel_for_pixel_but_for_the_numbers(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (123, 211), np.uint8)
    labels = np.zeros(image.shape, np.int32)
    labels[40:80, 60:110] = 1
    save_pixels(numbered_overlay(image, labels), tmp_path / "overlay.png")
    drawn = np.round(255 * imread(tmp_path / "overlay.png")[..., :3])
    expected = overlay(image, labels)
    assert drawn.shape == expected.shape
    differs = (drawn != expected).any(axis=2)
    assert differs.any()
    assert not differs[labels == 0].any()
