import base64
import html
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from markupsafe import Markup
from shapes import disc

from nanorender.files.acquisition import Acquisition
from nanorender.measuring.measure import mark_struck_out, measure
from nanorender.report.bar import scale_bar
from nanorender.report.browserdata import browser_data
from nanorender.report.page import Provenance, inline_svg, render_page, unsure_labels
from nanorender.report.picture import LARGEST_PX, picture
from nanorender.scoring.results import TableRows, image_result
from nanorender.statistics.bootstrap import STATISTICS
from nanorender.statistics.frame import FRAME_RULES
from nanorender.statistics.groups import Group
from nanorender.statistics.sampling import FieldOfView, size_floor
from nanorender.statistics.summary import Statistics, summarize


def squares(pixel_size_nm=2.0):
    """Return an image with squares of edges 4 to 23 pixels, and one cut by the frame."""
    labels = np.zeros((120, 150), np.int32)
    for index, edge in enumerate(range(4, 24)):
        y, x = 26 * (index // 5) + 1, 2 + 29 * (index % 5)
        labels[y : y + edge, x : x + edge] = index + 1
    labels[110:120, 140:150] = 21
    image = np.zeros(labels.shape, np.uint8)
    table = measure(labels, pixel_size_nm, image)
    return image_result("squares", image, labels, pixel_size_nm, "header", table)


SQUARES = Provenance("Squares", "", {})


def rows_of(table):
    return TableRows(lambda: table, 0, len(table))


def pictures_of(result):
    """Return the pictures of a report on one image."""
    image, labels = result.read_pixels()
    shown = picture(image, labels, result.pixel_size_nm, unsure_labels(result), result.struck_out)
    return {0: shown}


def key_figures(result, provenance=SQUARES, **settings):
    """Return the page and its key figures: value, interval and explanation by name."""
    floor = size_floor(result.pixel_size_nm, 9.0, 0.0, None)
    field = FieldOfView("squares", 150, 120, result.pixel_size_nm)
    statistics = Statistics(resamples=40, **settings)
    summary = summarize(result.table, [field], statistics, np.random.default_rng(0), floor)
    plots = dict.fromkeys(("size_histogram", "cumulative_curve"), Markup("<svg></svg>"))
    groups = [Group("all", "all images", summary)]
    page = html.unescape(render_page([result], groups, provenance, plots, pictures_of(result)))
    row = r'<th scope="row">(.*?)</th><td class="number"[^>]*>(.*?)</td>'
    row += r'<td class="number"[^>]*>(.*?)</td><td class="how">(.*?)</td>'
    rows = [[re.sub("<.*?>", "", cell) for cell in cells] for cells in re.findall(row, page)]
    return page, summary, {name: cells for name, *cells in rows}


def test_areas_and_densities_are_in_micrometers():
    _, _, figures = key_figures(squares(pixel_size_nm=2.0))
    assert figures["Field of view"][0] == f"{150 * 120 * 4 / 1e6:.5f} µm²"  # four digits
    density = 21 / (150 * 120 * 4 / 1e6)  # whose interval is hundreds wide
    assert figures["Number density"][0] == f"{round(density, -1):.0f} per µm²"


def test_without_a_pixel_size_no_figure_is_in_nm():
    page, _, figures = key_figures(squares(pixel_size_nm=None))
    assert not any("nm" in text for cells in figures.values() for text in cells)
    assert not any("Share below" in name for name in figures)
    assert "pixel size is unknown" in page


def test_every_share_below_the_limit_has_its_verdict():
    _, summary, figures = key_figures(squares(pixel_size_nm=1.0))
    shares = [cells for name, cells in figures.items() if name.startswith("Share below 100 nm, ")]
    assert len(shares) == len(summary.nanoscale) == 2
    assert all(value == "100.0 %" for value, _, _ in shares)
    assert all("above the 50 % of Recommendation 2022/C 229/01" in how for _, _, how in shares)


def test_every_statistic_is_on_the_page_with_its_definition():
    _, summary, figures = key_figures(squares())
    assert set(STATISTICS) == set(summary.sizes)
    for statistic in STATISTICS.values():
        assert figures[statistic.title][2] == statistic.definition


def test_figures_by_volume_are_marked():
    _, _, figures = key_figures(squares(), weighting="volume")
    assert (
        figures["Median, D50, volume-weighted"][2] == "half of the particles are smaller, by volume"
    )


@pytest.mark.parametrize("rule", FRAME_RULES)
def test_the_page_says_how_particles_at_the_frame_are_counted(rule):
    _, summary, figures = key_figures(squares(), frame_correction=rule)
    value, _, how = figures["Particles counted, N"]
    assert value == str(summary.particles)
    assert FRAME_RULES[rule].description in how
    assert ("; 1 left out" in how) == (rule != "keep")


def test_parameters_are_listed_with_dotted_names():
    result = squares()
    _, summary, _ = key_figures(result)
    provenance = Provenance("", "", {"separation": {"dynamic": 1.5}, "seed": 3})
    plots = dict.fromkeys(("size_histogram", "cumulative_curve"), Markup())
    groups = [Group("all", "", summary)]
    page = render_page([result], groups, provenance, plots, pictures_of(result))
    assert '<th scope="row">separation.dynamic</th><td>1.5</td>' in page
    assert '<th scope="row">seed</th><td>3</td>' in page


def test_a_large_micrograph_is_reduced_but_its_outlines_stay_in_its_own_pixels():
    image = np.full((1000, 3 * LARGEST_PX // 2), 77, np.uint8)
    labels = np.zeros(image.shape, np.int32)
    labels[100:130, 3000:3050] = 4
    shown = picture(image, labels)
    data = np.frombuffer(base64.b64decode(shown.uri.split(",")[1]), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert pixels.shape == (round(1000 / 1.5), LARGEST_PX)
    assert abs(int(np.median(pixels)) - 77) <= 1
    assert (shown.width, shown.height) == (3 * LARGEST_PX // 2, 1000)
    assert shown.outlines[0].box == "3000 100 50 30"


def test_rows_of_the_particle_table_refer_to_the_outlines():
    page, _, _ = key_figures(squares())
    rows = re.findall(r'<tr data-particle="(.*?)" aria-selected="false"><td class="box">', page)
    boxes = dict(re.findall(r'<path id="(.*?)" class="c\d+" data-box="(.*?)"', page))
    assert rows == list(boxes) == [f"i0-p{label}" for label in range(1, 22)]
    assert boxes["i0-p2"] == "31 1 5 5"


def test_identifiers_of_two_figures_do_not_collide():
    svg = """<?xml version="1.0"?><svg width="4pt" height="3pt" viewBox="0 0 4 3">
    <metadata>x</metadata><path id="p1"/><use href="#p1" clip-path="url(#c1)"/></svg>"""
    drawing = inline_svg("first", svg)
    for part in ('id="first-p1"', 'href="#first-p1"', "url(#first-c1)", 'viewBox="0 0 4 3"'):
        assert part in drawing
    assert "metadata" not in drawing
    assert 'width="4pt"' not in drawing


def test_outlines_of_uncertain_particles_are_dashed_and_counted():
    result = squares()
    confidence = np.full(21, 0.95)
    confidence[[3, 7]] = 0.6
    image, labels = result.read_pixels()
    table = measure(labels, 2.0, image, confidence=confidence)
    result = replace(result, rows=rows_of(table))
    provenance = Provenance("Squares", "", {"min_confidence": 0.4})
    page, _, figures = key_figures(replace(result, edited=True), provenance=provenance)
    assert "squares (label map edited)" in page
    assert page.count('unsure"') == 2
    value, _, how = figures["Less certain particles"]
    assert value == "2"
    assert "below 0.8" in how
    assert "below 0.4 were discarded" in how


def test_struck_out_particles_are_marked_in_the_picture_and_in_the_table():
    result = squares()
    struck = frozenset({3, 8})
    table = mark_struck_out(result.table, struck)
    page, summary, figures = key_figures(replace(result, rows=rows_of(table), struck_out=struck))
    assert summary.particles == 19
    assert figures["Struck out by hand"][0] == "2"
    assert "2 struck out by hand" in page
    assert re.findall(r'<path id="i0-p(\d+)" class="[^"]*struck"', page) == ["3", "8"]
    rows = re.findall(r'<tr data-particle="i0-p(\d+)" aria-selected="false" class="struck">', page)
    assert rows == ["3", "8"]


def test_particles_under_others_are_counted():
    page, _, _ = key_figures(squares())
    assert "partly under others" not in page
    labels = np.zeros((120, 150), np.int32)
    for number, x in enumerate((40, 60, 80), 1):
        labels[disc(labels.shape, x, 60, 40)] = number
    image = np.zeros(labels.shape, np.uint8)
    stack = image_result("stack", image, labels, 2.0, "header", measure(labels, 2.0, image))
    page, _, _ = key_figures(stack)
    assert "2 seem to lie partly under others: their sizes are lower bounds" in page
    dark = replace(stack, contrasts=-np.ones(3))  # seen through each other
    assert "partly under others" not in key_figures(dark)[0]
    for one in (dark, stack):
        page, summary, _ = key_figures(one, quantity="amodal_diameter")
        assert "2 seem to lie partly under others: hidden parts are estimated" in page
    assert summary.sizes["d50"].value == pytest.approx(80, rel=0.02)


def test_conditions_are_shown_if_a_header_has_them():
    page, _, _ = key_figures(squares())
    assert "Voltage (kV)" not in page
    taken = Acquisition(voltage_kv=20.0, date="2019-07-18")
    page, _, _ = key_figures(replace(squares(), acquisition=taken))
    assert "Voltage (kV)" in page
    assert '<td class="number">20</td><td class="number">2019-07-18</td>' in page
    assert "Working distance" not in page


def test_the_page_says_whether_the_uncertainty_of_the_pixel_size_is_included():
    page, _, _ = key_figures(squares())
    assert "the uncertainty of the pixel size is not included" in page
    page, _, _ = key_figures(squares(), pixel_size_uncertainty_percent=1.5)
    assert "for the pixel size, with a standard uncertainty of 1.5 %" in page
    assert "not the uncertainty of the pixel size" not in page


def test_data_for_the_script_cannot_end_its_element():
    result = replace(squares(), name="</script><b>")
    field = FieldOfView(result.name, 150, 120, 2.0)
    summary = summarize(result.table, [field], Statistics(resamples=5), np.random.default_rng(0))
    data = browser_data([result], summary, [0])
    assert "<" not in data
    assert json.loads(data)["images"][0]["name"] == result.name


@pytest.mark.parametrize("width_px", [64, 1000, 4096])
@pytest.mark.parametrize("pixel_size_nm", [0.02, 1.0, 7.344, 900.0])
def test_scale_bars_have_round_lengths_and_fit(width_px, pixel_size_nm):
    bar = scale_bar(width_px, pixel_size_nm)
    number, unit = bar.text.split()
    length_nm = float(number) * {"nm": 1, "µm": 1e3, "mm": 1e6}[unit]
    assert length_nm == pytest.approx(bar.length_px * pixel_size_nm)
    assert width_px / 12 < bar.length_px <= width_px / 4
    assert f"{length_nm:e}"[0] in "125"


def test_the_scale_bar_of_a_picture_leaves_a_printed_one_visible():
    image = np.random.default_rng(0).integers(60, 200, (240, 320)).astype(np.uint8)
    labels = np.zeros(image.shape, np.int32)
    left, top, width, height = picture(image, labels, 2.0).bar_box
    assert (left, top + height) == (5, 235)
    image[220:226, 10:60] = 255
    left, top, width, height = picture(image, labels, 2.0).bar_box
    assert (left + width, top + height) == (315, 235)
    image[220:226, 260:310] = 0
    assert picture(image, labels, 2.0).bar_box[:2] == (5, 5)


def test_intervals_of_few_particles_are_called_too_narrow():
    many = squares()
    assert "are too narrow" not in key_figures(many)[0]
    few = replace(many, rows=rows_of(many.table.head(5)))
    assert "Intervals of fewer than 20 particles are too narrow" in key_figures(few)[0]
