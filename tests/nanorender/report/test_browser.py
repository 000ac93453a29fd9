import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from browser import needs_browser, opened

import cli
from nanorender.files.tiff import write_labels

pytestmark = needs_browser

LABELS = {"first": 23, "second": 31}
NM = 4.0


def discs(seed, count):
    """Draw a label map of discs with radii of 4 to 13 pixels on a grid."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((180, 240), np.int32)
    y, x = np.mgrid[:180, :240]
    for index in range(count):
        center = 15 + 30 * (index // 8), 15 + 30 * (index % 8)
        labels[np.hypot(y - center[0], x - center[1]) < rng.uniform(4, 13)] = index + 1
    return labels


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with label maps and a report on them."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "labels").mkdir()
    for seed, (name, count) in enumerate(LABELS.items()):
        write_labels(folder / "labels" / f"{name}.tif", discs(seed, count), NM)
    cli.report(folder / "labels", folder / "report", pixel_size_uncertainty=1.0)
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with opened(
        tmp_path_factory.mktemp("profile"), viewport={"width": 1280, "height": 900}
    ) as found:
        yield found


@pytest.fixture
def page(study, chromium):
    """The page of the report in a window of 1280 x 900; it must raise no error."""
    page = chromium.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto((study / "report" / "index.html").as_uri())
    yield page
    page.close()
    assert errors == []


def strike(page, *identifiers):
    """Click the boxes of particles, and wait for the intervals."""
    for each in identifiers:
        page.locator(f"tr[data-particle={each}] input").click()
    page.locator("body[data-complete]").wait_for()


def raw(page, key):
    """Value and limits of a quantity with all digits."""
    element = page.locator(f".key-figures [data-key={key}]")
    low, high = element.nth(1).get_attribute("data-raw").split()
    return float(element.nth(0).get_attribute("data-raw")), float(low), float(high)


def exported(page, path):
    """Export the choice by a click."""
    with page.expect_download() as download:
        page.locator("#choice-export").click()
    assert download.value.suggested_filename == "choice.json"
    download.value.save_as(path)
    return path


def test_the_page_opens_with_the_answer_and_loads_nothing(page):
    median = page.locator(".median strong")
    assert re.fullmatch(r"[\d.]+ nm", median.inner_text())
    table = page.locator("#particles").bounding_box()
    for shown in (median, page.locator(".verdict"), page.locator(".answer svg")):
        assert shown.bounding_box()["y"] < 900 < table["y"]
    loaded = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert all(name.startswith("data:") for name in loaded)


def test_sizes_follow_as_measure_computes_them_from_the_exported_choice(page, study, tmp_path):
    before = page.locator(".median strong").inner_text()
    struck = {"first": [2, 9, 11], "second": [1, 4, 5, 30]}
    strike(page, *(f"i{i}-p{label}" for i, each in enumerate(struck.values()) for label in each))
    choice = exported(page, tmp_path / "choice.json")
    cli.measure(study / "labels", tmp_path / "p.csv", 1, choice=choice)
    table = pd.read_csv(tmp_path / "p.csv")
    assert table.groupby("image")["struck_out"].sum().to_dict() == {"first": 3, "second": 4}
    kept = table.loc[~table["struck_out"]]
    sizes = np.sort(kept["equivalent_diameter_nm"].to_numpy())
    expected = {
        "d10": sizes[int(np.ceil(0.1 * len(sizes))) - 1],
        "d50": sizes[int(np.ceil(0.5 * len(sizes))) - 1],
        "d90": sizes[int(np.ceil(0.9 * len(sizes))) - 1],
        "mean": sizes.mean(),
        "standard_deviation": sizes.std(ddof=1),
        "min_feret": (kept["min_feret_nm"] < 100).mean(),
        "inscribed_diameter": (kept["inscribed_diameter_nm"] < 100).mean(),
        "coverage": kept["area_nm2"].sum() / (2 * 180 * 240 * NM**2),
    }
    for key, value in expected.items():
        assert raw(page, key)[0] == pytest.approx(value, rel=1e-9)
    assert page.locator(".facts [data-key=particles]").inner_text() == str(len(kept)) == "47"
    assert page.locator("dl [data-key=struck_out]").inner_text() == "7 struck out by hand"
    assert page.locator(".median strong").inner_text() != before


def test_intervals_agree_with_a_report_on_the_same_choice(page, study, tmp_path):
    strike(page, "i0-p3", "i1-p7", "i1-p8")
    choice = exported(page, tmp_path / "choice.json")
    cli.report(study / "labels", tmp_path / "r", choice=choice, pixel_size_uncertainty=1.0)
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())["summary"]
    shares = {each["quantity"]: each for each in summary["nanoscale"]}
    resampled = {key: each for key, each in summary["sizes"].items() if key != "mode"}
    exact = {"number_density": summary["number_density"], "coverage": summary["coverage"]} | shares
    for key, each in (resampled | exact).items():
        value, low, high = raw(page, key)
        assert value == pytest.approx(each["value"], rel=1e-9)
        # Resampled limits have errors of their own; those of quantiles step from size to size.
        share = {"d10": 0.4, "d50": 0.4, "d90": 0.4, "span": 0.4}.get(key, 0.12)
        near = (share if key in resampled else 0.02) * (each["high"] - each["low"])
        assert low == pytest.approx(each["low"], abs=near)
        assert high == pytest.approx(each["high"], abs=near)
    assert page.locator(".verdict").inner_text() == summary["nanoscale"][0]["verdict"]
    # On the page of that report, the particles can be restored.
    page.goto((tmp_path / "r" / "index.html").as_uri())
    assert page.locator("tr.struck").count() == 3
    strike(page, "i0-p3", "i1-p7", "i1-p8")
    whole = json.loads((study / "report" / "summary.json").read_text())["summary"]
    assert raw(page, "mean")[0] == pytest.approx(whole["sizes"]["mean"]["value"], rel=1e-9)
    assert json.loads(exported(page, tmp_path / "none.json").read_text())["images"] == []


def test_undoing_gives_back_the_texts_of_the_report(page):
    texts = page.locator("[data-key]").all_inner_texts()
    assert page.locator("#bar-choice").is_hidden()
    strike(page, "i0-p2", "i1-p9")
    assert page.locator("[data-key]").all_inner_texts() != texts
    assert page.locator("#stale").is_visible()
    page.locator("#choice-reset").click()
    assert page.locator("[data-key]").all_inner_texts() == texts
    assert page.locator("#stale").is_hidden()
    assert page.locator("tr.struck").count() == 0


def test_the_bars_of_the_histogram_follow(page):
    heights = """[...document.querySelectorAll("[id^=size_histogram-class-]")]
      .map((each) => each.getBBox().height)"""
    before = np.array(page.evaluate(heights))
    strike(page, "i0-p1")
    after = np.array(page.evaluate(heights))
    fallen = np.flatnonzero(~np.isclose(before, after, atol=0.01))
    assert len(fallen) == 1
    assert after[fallen[0]] < before[fallen[0]]


def test_rows_and_outlines_lead_to_each_other(page):
    outline = page.locator("#i1-p7")
    outline.click()
    row = page.locator("tr[data-particle=i1-p7]")
    assert row.get_attribute("aria-selected") == "true"
    assert "Particle 7 of second" in page.locator("#bar-text").inner_text()
    page.locator("#bar-row").click()
    box, area = row.bounding_box(), page.locator(".scroll").bounding_box()
    assert area["y"] <= box["y"] < area["y"] + area["height"]
    assert 0 <= box["y"] < 900
    page.locator("tr[data-particle=i0-p5] td").nth(1).click()
    assert row.get_attribute("aria-selected") == "false"
    assert page.locator("path.mark").count() == 2  # in the picture and in the viewer
    page.locator("#bar-image").click()
    assert page.locator("#zoom").is_visible()
    mark = page.locator("#zoom path.mark").bounding_box()
    assert mark["x"] + mark["width"] / 2 == pytest.approx(640, abs=200)
    page.locator("#bar-strike").click()
    assert "struck" in page.locator("#i0-p5").get_attribute("class")
    page.keyboard.press("x")
    assert "struck" not in page.locator("#i0-p5").get_attribute("class")
    page.keyboard.press("Escape")
    assert page.locator("#zoom").is_hidden()
    assert page.locator("svg.picture").count() == 2 * len(LABELS)
    assert page.locator(".frame > svg.picture").count() == 2 * len(LABELS)


def test_a_click_on_a_picture_enlarges_it_and_the_wheel_zooms_at_the_pointer(page):
    page.locator("figure.plain .picture").first.click(position={"x": 5, "y": 5})
    picture = page.locator("#zoom .picture")
    at = """(svg, [x, y]) => {
      const point = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
      return [point.x, point.y];
    }"""
    before = picture.evaluate(at, [700, 450])
    text = page.locator("#zoom-scale span").inner_text()
    page.mouse.move(700, 450)
    page.mouse.wheel(0, -900)
    page.wait_for_function(
        "document.querySelector('#zoom-scale span').textContent !== " + repr(text)
    )
    assert picture.evaluate(at, [700, 450]) == pytest.approx(before, abs=0.5)
    # The bar is as long as its text says.
    length_nm = float(page.locator("#zoom-scale span").inner_text().split()[0])
    bar = page.locator("#zoom-scale i").bounding_box()
    ends = [picture.evaluate(at, [x, 300])[0] for x in (bar["x"], bar["x"] + bar["width"])]
    assert (ends[1] - ends[0]) * NM == pytest.approx(length_nm, rel=0.02)
    # Dragging moves the picture with the pointer and selects nothing.
    start = picture.evaluate(at, [700, 450])
    page.mouse.down()
    page.mouse.move(640, 420, steps=4)
    page.mouse.up()
    assert picture.evaluate(at, [640, 420]) == pytest.approx(start, abs=1.5)
    page.locator("#zoom-close").click()
    assert page.locator("#zoom").is_hidden()


def test_numbers_are_legible_at_every_zoom(page):
    size = """(svg) => Number(svg.querySelector(".numbers").getAttribute("font-size"))
      * svg.getScreenCTM().a"""
    assert page.locator("#i0-picture").evaluate(size) == pytest.approx(12, rel=0.05)
    page.locator("#i0-picture").click(position={"x": 1, "y": 1})
    for _ in range(3):
        page.locator("#zoom-in").click()
        assert page.locator("#i0-picture").evaluate(size) == pytest.approx(12, rel=0.05)
    page.keyboard.press("Escape")


def test_every_picture_has_a_scale_bar_of_its_length(page):
    assert page.locator(".frame .scale").count() == page.locator(".picture").count() == 4
    bars = page.locator(".frame .scale").evaluate_all(
        "(all) => all.map((each) => [each.querySelector('.bar').width.baseVal.value, "
        "each.textContent])"
    )
    for length_px, text in bars:
        assert float(text.split()[0]) == pytest.approx(length_px * NM, rel=1e-3)
    page.locator("tr[data-particle=i0-p5] td").nth(1).click()
    assert re.fullmatch(r"\d+ nm", page.locator("#viewer .scale text").text_content())


def test_the_table_sorts_both_ways(page):
    heading = page.locator("#particles th").nth(3)
    cells = page.locator("#particles tbody td:nth-child(4)")
    heading.click()
    up = [float(each) for each in cells.all_inner_texts()]
    heading.click()
    down = [float(each) for each in cells.all_inner_texts()]
    assert heading.get_attribute("aria-sort") == "descending"
    assert len(up) == sum(LABELS.values())
    assert all(one <= other for one, other in pairwise(up))
    assert down == up[::-1]


@pytest.mark.parametrize("width", [360, 500, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_off_the_page(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("#i0-p4").click()
    page.locator("#bar-strike").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("#bar", ".answer", ".pictures >> nth=0", "header"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    page.locator("#bar-strike").click()


def luminance(color):
    """Relative luminance of a CSS color (WCAG 2.2)."""
    parts = np.array([int(each) for each in re.findall(r"\d+", color)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    color = "(element) => getComputedStyle(element).color"
    paper = page.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
    for part in ("h1", ".median strong", ".median .label", "figcaption >> nth=0", "nav a >> nth=0"):
        levels = sorted((luminance(paper), luminance(page.locator(part).evaluate(color))))
        assert (levels[1] + 0.05) / (levels[0] + 0.05) >= 4.5
    assert (luminance(paper) < 0.1) == (scheme == "dark")


def test_it_prints_as_a_short_document_without_the_particle_table(page, tmp_path):
    page.emulate_media(media="print")
    table, heading = page.locator("#particles"), page.locator("#particles th").nth(3)
    assert table.is_hidden()
    assert page.locator(".median strong").is_visible()
    page.evaluate("document.body.classList.add('print-table')")
    assert table.is_visible()
    assert page.locator("h1").is_hidden()
    # Buttons are missing from headings that repeat on each page.
    assert heading.locator("button").is_hidden()
    assert heading.inner_text().replace("\n", "") == "equivalent_diameter_nm"
    page.evaluate("document.body.classList.remove('print-table')")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    content = (tmp_path / "report.pdf").read_bytes()
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 4
