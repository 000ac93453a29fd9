import base64

import cv2
import numpy as np
import pytest

from nanorender.measuring.measure import measure
from nanorender.report.page import LARGEST_PX, Cells, number, particle_rows, picture, plot


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (403.14, "403.1"),
        (346.0, "346.0"),
        (999.99, "1000"),
        (123456.7, "123457"),
        (0.942, "0.9420"),
        (float("nan"), ""),
        (None, ""),
        (np.True_, "yes"),
        (False, "no"),
        (12, "12"),
    ],
)
def test_numbers_are_printed_with_four_digits(value, printed):
    assert number(value) == printed


def test_a_column_is_numeric_if_all_its_cells_are_numbers_or_empty():
    cells = Cells(
        ("a", "b", "c"),
        [("7.3", "x1", ""), ("", "2", ""), ("10.4 %", "3", ""), ("-1e-05", "4", "")],
    )
    assert [cells.is_numeric(column) for column in range(3)] == [True, False, False]


def test_a_large_micrograph_is_reduced_but_its_outlines_stay_in_its_own_pixels():
    image = np.full((1000, 3 * LARGEST_PX // 2), 77, np.uint8)
    labels = np.zeros(image.shape, np.int32)
    labels[100:130, 3000:3050] = 4
    shown = picture("wide", "", image, labels)
    data = np.frombuffer(base64.b64decode(shown.uri.split(",")[1]), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert pixels.shape == (round(1000 / 1.5), LARGEST_PX)
    assert abs(int(np.median(pixels)) - 77) <= 1
    assert (shown.width, shown.height) == (3 * LARGEST_PX // 2, 1000)
    assert shown.particles[0].box == "3000 100 50 30"


def test_a_row_shows_the_box_of_its_own_particle():
    labels = np.zeros((30, 30), np.int32)
    labels[2:7, 3:9] = 2
    labels[20:28, 10:20] = 9
    shown = picture("two", "", np.zeros((30, 30), np.uint8), labels)
    rows = particle_rows([measure(labels, 2.0)], [shown], ["area_nm2"])
    assert [(row.label, row.box, row.cells) for row in rows] == [
        (2, "3 2 6 5", ["two", "120.0"]),
        (9, "10 20 10 8", ["two", "320.0"]),
    ]


def test_identifiers_of_two_figures_do_not_collide():
    svg = """<?xml version="1.0"?><svg width="4pt" height="3pt" viewBox="0 0 4 3">
    <metadata>x</metadata><path id="p1"/><use href="#p1" clip-path="url(#c1)"/></svg>"""
    drawing = plot("first", svg, 'a "size" < b', "").svg
    for part in ('id="first-p1"', 'href="#first-p1"', "url(#first-c1)", 'viewBox="0 0 4 3"'):
        assert part in drawing
    assert "metadata" not in drawing
    assert 'width="4pt"' not in drawing
    assert "a &#34;size&#34; &lt; b" in drawing
