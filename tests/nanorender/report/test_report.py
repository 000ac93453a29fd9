import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from roifile import roiread

from nanorender.errors import InputError
from nanorender.measuring.measure import measure
from nanorender.report.page import PAGE_COLUMNS, Provenance
from nanorender.report.report import report
from nanorender.scoring.results import image_result, particle_table
from nanorender.statistics.groups import Group, summarize_groups
from nanorender.statistics.sampling import FieldOfView, size_floor
from nanorender.statistics.summary import Statistics, summarize

PIXEL_SIZE_NM = 2.5
PLOTS = ("size_histogram", "cumulative_curve")
SHAPE = (90, 120)


def discs(seed, count=12):
    """Return an image of bright discs on a grid and its label map."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.int32)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for index in range(count):
        center = 15 + 30 * (index // 4), 15 + 30 * (index % 4)
        labels[np.hypot(y - center[0], x - center[1]) < rng.uniform(5, 13)] = index + 1
    return (60 + 120 * (labels > 0)).astype(np.uint8), labels


def result(name, labels, image, pixel_size_nm=PIXEL_SIZE_NM, truth=None):
    table = measure(labels, pixel_size_nm, image)
    return image_result(name, image, labels, pixel_size_nm, "--pixel-size-nm", table, truth)


def write(folder, results, title="Discs", **settings):
    fields = [FieldOfView(each.name, 120, 90, each.pixel_size_nm) for each in results]
    floor = size_floor(results[0].pixel_size_nm, 20.0, 0.0, None)
    statistics = Statistics(resamples=50, **settings)
    parameters = {"separate": {"threshold": 0.51}, "seed": 3}
    provenance = Provenance(title, "nanorender report labels/ -o report/", parameters)
    groups = summarize_groups(particle_table(results), fields, {}, statistics, floor)
    return report(folder, results, groups, provenance)


@pytest.fixture(scope="module")
def two_images(tmp_path_factory):
    """Return the page of a report on two images, one particle missing in the first."""
    results = []
    for seed, name in enumerate(("first", "second")):
        image, truth = discs(seed)
        labels = np.where(truth == 5, 0, truth) if seed == 0 else truth
        results.append(result(name, labels, image, truth=truth))
    folder = tmp_path_factory.mktemp("study") / "report"
    return write(folder, results), results


class Links(HTMLParser):
    """Collects what a page refers to, its identifiers and its tags that are not closed in order."""

    VOID = frozenset({"meta", "input", "br", "wbr"})

    def __init__(self, text):
        super().__init__()
        self.references, self.identifiers, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.note(attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.note(attributes)

    def note(self, attributes):
        for name, value in attributes:
            if name in ("href", "src", "xlink:href"):
                self.references.append(value)
            if name == "id":
                self.identifiers.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_all_files_are_written_and_readable(two_images):
    page, results = two_images
    folder = page.parent
    table = pd.read_csv(folder / "particles.csv")
    assert len(table) == 11 + 12
    assert table["image"].unique().tolist() == ["first", "second"]
    first = results[0].table["area_nm2"]
    assert np.allclose(table.loc[table["image"] == "first", "area_nm2"], first)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["summary"]["particles"] == 23
    assert summary["images"][0]["object_scores"]["n_matched"] == 11
    assert len(roiread(folder / "rois" / "second.zip")) == 12
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert figures == {
        *(f"{name}{suffix}" for name in PLOTS for suffix in (".png", ".svg")),
        "first_overlay.png",
        "second_overlay.png",
    }


def test_page_is_self_contained_and_its_links_resolve(two_images):
    links = Links(two_images[0].read_text())
    assert not links.open
    assert len(set(links.identifiers)) == len(links.identifiers)
    for reference in links.references:
        assert reference.startswith(("#", "data:image/jpeg;base64,"))
        assert not reference.startswith("#") or reference[1:] in links.identifiers


def test_the_page_names_every_key_figure_with_its_interval_and_how_it_was_obtained(two_images):
    text = two_images[0].read_text()
    table = particle_table(two_images[1])
    median = table["equivalent_diameter_nm"].sort_values().iloc[11]
    row = re.search(r"<tr><th scope=\"row\">Median, D50</th>.*?</tr>", text).group()
    assert f">{median:.1f} nm<" in row  # the interval is some 16 nm wide
    assert re.search(r">[\d.]+ to [\d.]+<", row)
    assert "half of the particles are smaller" in row
    for words in ("requested by ISO 13322-1", "95 % interval", "Smallest detectable size"):
        assert words in text
    assert "complies" not in text


def test_scores_against_the_truth_are_given_by_image_and_in_the_mean(two_images):
    text = two_images[0].read_text()
    rows = re.findall(r"<th scope=\"row\">(first|second|mean)</th>(.*?)</tr>", text)
    last = {name: re.findall(r">([\d.]+)<", cells)[-1] for name, cells in rows}
    assert last == {"first": "0.917", "second": "1.000", "mean": "0.958"}  # found / true of 12


@pytest.mark.parametrize("pixel_size_nm", [PIXEL_SIZE_NM, None])
def test_an_empty_image_gives_an_empty_table_and_a_report(tmp_path, pixel_size_nm):
    image = np.full(SHAPE, 9, np.uint8)
    empty = result("empty", np.zeros(SHAPE, np.int32), image, pixel_size_nm)
    page = write(tmp_path / "report", [empty])
    assert "No particles were found" in page.read_text()
    table = pd.read_csv(page.parent / "particles.csv")
    assert len(table) == 0
    assert list(table.columns) == ["image", *empty.table.columns]
    json.loads((page.parent / "summary.json").read_text())


@pytest.fixture(scope="module")
def unscaled(tmp_path_factory):
    """Return the text of a report on an image of unknown scale, its names full of markup."""
    image, labels = discs(2)
    folder = tmp_path_factory.mktemp("unscaled") / "report"
    return write(folder, [result("<b>&", labels, image, None)], "<script>x").read_text()


def test_sizes_without_a_pixel_size_are_in_pixels_and_the_page_says_so(unscaled):
    assert "The pixel size is unknown" in unscaled
    assert "equivalent_<wbr>diameter_<wbr>px" in unscaled
    assert " nm<" not in unscaled


def test_text_from_outside_is_escaped(unscaled):
    assert "<script>x" not in unscaled
    assert "<b>" not in unscaled
    assert "&lt;b&gt;&amp;" in unscaled


def test_an_earlier_report_is_replaced_and_the_same_results_give_the_same_bytes(tmp_path):
    image, labels = discs(5)
    folder = tmp_path / "report"
    write(folder, [result("image", labels, image)])
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    (folder / "rois" / "stale.zip").touch()
    write(folder, [result("image", labels, image)])
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_folder_with_other_files_is_refused(tmp_path):
    image, labels = discs(6)
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match=r"contains thesis\.txt, which is not part of a report"):
        write(tmp_path, [result("image", labels, image)])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_images_of_the_same_name_are_refused(tmp_path):
    image, labels = discs(6)
    twins = [result("twin", labels, image)] * 2
    fields = [FieldOfView("twin", 120, 90, PIXEL_SIZE_NM)]
    rng = np.random.default_rng(0)
    summary = summarize(twins[0].table, fields, Statistics(resamples=10), rng)
    groups = [Group("all", "all images", summary)]
    with pytest.raises(InputError, match="2 images are named 'twin'"):
        report(
            tmp_path / "report",
            twins,
            groups,
            Provenance("Twins", "", {}),
        )
    with pytest.raises(InputError, match="at least one image"):
        report(
            tmp_path / "report",
            [],
            groups,
            Provenance("None", "", {}),
        )
    assert not list(tmp_path.iterdir())


def test_columns_shown_in_the_page_are_measured():
    table = measure(np.zeros((4, 4), np.int32), 1.0)
    stems = {re.sub(r"_nm2?$", "", name) for name in table.columns}
    assert set(PAGE_COLUMNS) <= stems


def test_folder_of_another_program_is_not_replaced(tmp_path):
    image, labels = discs(6)
    (tmp_path / "out").mkdir()
    for name in ("summary.json", "model.bin"):
        (tmp_path / "out" / name).write_text("years")
    with pytest.raises(InputError, match=r"contains model\.bin, which is not part of a report"):
        write(tmp_path / "out", [result("image", labels, image)])
    assert (tmp_path / "out" / "model.bin").read_text() == "years"


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    image, labels = discs(6)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the current directory"):
        write(Path(), [result("image", labels, image)])
