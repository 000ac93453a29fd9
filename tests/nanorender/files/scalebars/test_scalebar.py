import numpy as np
import pytest

from nanorender.files.scalebars.lettering import Lettering
from nanorender.files.scalebars.rectangle import Rectangle
from nanorender.files.scalebars.scalebar import find_scale_bar
from nanorender.imaging.publication import (
    Polygon,
    PublicationSettings,
    Text,
    lay_out_marks,
    publish,
)

BAR_ONLY = PublicationSettings(panel_label=0, scale_bar=1, caption=0, arrow=0, info_bar=0)
TEXT = Lettering("100 nm", 0.99, Rectangle(105, 60, 145, 76))


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return rng.normal(110, 8, (240, 320)).clip(0, 255).astype(np.uint8)


def synthetic(seed):
    """Return an image with a rendered scale bar, its text, and the true pixel size."""
    rng = np.random.default_rng(seed)
    ground = rng.normal(120, 10, (512, 512)).clip(0, 255).astype(np.uint8)
    marks = lay_out_marks(BAR_ONLY, ground.shape, rng)
    levels = publish(ground, marks, BAR_ONLY, rng)
    (bar,) = (mark for mark in marks if isinstance(mark, Polygon))
    (text,) = (mark for mark in marks if isinstance(mark, Text))
    length_px = bar.points[1][0] - bar.points[0][0] + 1
    number, unit = text.words.split()
    length_nm = float(number) * (1.0 if unit == "nm" else 1e3)
    x, y = text.place
    box = Rectangle(x, y, x + round(0.55 * text.height_px * len(text.words)), y + text.height_px)
    return levels, Lettering(text.words, 0.98, box), length_nm / length_px


def test_rendered_scale_bars_are_read_or_left():
    read = 0
    for seed in range(16):
        levels, lettering, true_nm = synthetic(seed)
        bar = find_scale_bar(levels, [lettering])
        if bar is not None:
            read += 1
            assert bar.pixel_size_nm == pytest.approx(true_nm, rel=0.02), seed
    assert read >= 11


@pytest.mark.parametrize("level", [0, 255])
def test_ends_are_found_within_a_fraction_of_a_pixel(image, level):
    image[80:86, 100:150] = level
    image[80:86, 150] = (image[80:86, 150].astype(int) + level) // 2  # half covered
    assert find_scale_bar(image, [TEXT]).length_px == pytest.approx(50.5, abs=0.2)


def test_line_with_end_ticks_is_measured_between_their_middles(image):
    image[86:88, 100:152] = 255
    for left in (100, 150):
        image[80:94, left : left + 2] = 255
    assert find_scale_bar(image, [TEXT]).length_px == pytest.approx(50, abs=0.3)


def test_line_broken_by_its_text(image):
    image[67:69, 60:100] = image[67:69, 150:190] = 255
    image[62:74, 60:62] = image[62:74, 188:190] = 255
    assert find_scale_bar(image, [TEXT]).length_px == pytest.approx(128, abs=1)


def test_row_of_eleven_ticks(image):
    for left in range(40, 151, 11):
        image[82:88, left : left + 2] = 255
    assert find_scale_bar(image, [TEXT]).length_px == pytest.approx(110, abs=0.3)
    image[82:88, 161:163] = 255
    assert find_scale_bar(image, [TEXT]) is None


def test_bars_in_doubt_are_left(image):
    image[80:86, 100:150] = 255
    assert find_scale_bar(image, [TEXT]) is not None
    second = TEXT._replace(text="200 nm", box=Rectangle(160, 76, 200, 90))
    assert find_scale_bar(image, [TEXT, second]) is None
    assert find_scale_bar(image, [TEXT._replace(confidence=0.5)]) is None
    image[92:98, 80:180] = 255
    assert find_scale_bar(image, [TEXT]) is None


def test_bar_cut_by_the_edge_is_left(image):
    image[80:86, 270:320] = 255
    text = TEXT._replace(box=Rectangle(275, 60, 315, 76))
    assert find_scale_bar(image, [text]) is None
    image[50:54, 275:315] = 255  # what else may be a bar is none either
    assert find_scale_bar(image, [text]) is None


def test_thick_ticks_are_left(image):
    image[86:90, 100:150] = 255
    image[78:98, 100:107] = image[78:98, 143:150] = 255
    assert find_scale_bar(image, [TEXT]) is None


@pytest.mark.parametrize(
    ("text", "length_nm"),
    [
        ("100nm", 100.0),
        ("2 \u00b5m", 2000.0),
        ("0.5 \u03bcm", 500.0),
        ("1.0 um", 1000.0),
        ("5 pm", 5000.0),
        ("1 mm", 1e6),
        ("20 \u00c5", 2.0),
        ("100nm JEOL", 100.0),
        ("WD 8.0mm", None),
        ("WD = 10 mm", None),
        ("8.6 mm", None),
        ("108 nm", None),
        ("05 um", None),
        ("HFW 20.0 um", None),
        ("5.00 kV", None),
    ],
)
def test_lengths_in_recognized_text(image, text, length_nm):
    image[80:86, 100:150] = 255
    bar = find_scale_bar(image, [TEXT._replace(text=text, box=Rectangle(100, 60, 150, 76))])
    assert (bar and bar.length_nm) == length_nm


def test_implausible_fields_are_left(image):
    image[80:86, 100:200] = 255
    assert find_scale_bar(image, [TEXT._replace(text="1 nm")]) is None
    assert find_scale_bar(image, [TEXT._replace(text="50 mm")]) is None
