"""Reports on many images: what is in memory at a time, and what the page leaves out."""

import json
import re
import weakref

import numpy as np
import pandas as pd
import pytest
from browser import needs_browser, opened

from nanorender.errors import InputError
from nanorender.files.segmentation import read_segmented
from nanorender.files.tiff import write_labels
from nanorender.measuring.measure import measure
from nanorender.report import browserdata, excerpt, page, report
from nanorender.report.study import write_report
from nanorender.scoring.results import image_result, read_results
from nanorender.statistics.summary import Statistics

IMAGES, EACH = 12, 6


@pytest.fixture
def labels(tmp_path):
    """A folder of label maps of squares."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for index in range(IMAGES):
        values = np.zeros((60, 90), np.int32)
        for label in range(EACH):
            y, x, edge = 30 * (label // 3) + 2, 30 * (label % 3) + 2, 8 + label + index
            values[y : y + edge, x : x + edge] = label + 1
        write_labels(folder / f"im {index:02d}.tif", values, 2.0)
    return folder


def written(labels, results=None):
    """Write a report, and return its page."""
    results = results or read_results(labels)
    return write_report(
        labels, results, labels.parent / "report", Statistics(resamples=20), "Squares", ""
    )


class Watch:
    """Reader of label maps that counts the images in memory whenever it has read one."""

    def __init__(self):
        self.alive, self.counts = weakref.WeakValueDictionary(), []

    def __call__(self, path):
        read = read_segmented(path)
        for array in (read.labels, read.micrograph.image):
            self.alive[id(array)] = array
        self.counts.append(len(self.alive) / 2)
        return read


def test_memory_holds_few_images_whatever_their_number(labels):
    watch = Watch()
    results = read_results(labels, read=watch)
    assert len(watch.counts) == IMAGES
    written(labels, results)
    assert len(watch.counts) == 2 * IMAGES
    assert max(watch.counts) <= 3


def test_images_share_tables_and_each_has_its_own_rows(labels, monkeypatch):
    write_labels(labels / "im 03.tif", np.zeros((60, 90), np.int32), 2.0)
    for name in ("im 05.tif", "im 06.tif", "im 11.tif"):
        path = labels / name
        write_labels(path, read_segmented(path).labels, None)
    monkeypatch.setattr("nanorender.scoring.results._JOINED", 5)
    results = read_results(labels)
    for result in results:
        image, values = result.read_pixels()
        expected = measure(values, result.pixel_size_nm, image)
        pd.testing.assert_frame_equal(result.table, expected, check_dtype=False)
    blocks = [id(result.rows.read_table) for result in results]
    assert len(set(blocks)) == 5  # three blocks of images, two of them with both units
    with pytest.raises(InputError, match=r"of 3 of 12 images is unknown \(im 05, for example\)"):
        written(labels, results)


def test_a_label_map_that_changes_between_measuring_and_drawing_is_refused(labels):
    results = read_results(labels)
    changed = labels / "im 07.tif"
    write_labels(changed, np.pad(np.ones((9, 9), np.int32), 20), 2.0)
    with pytest.raises(InputError, match=r"im 07\.tif has changed since it was measured; run"):
        written(labels, results)
    changed.unlink()
    with pytest.raises(InputError, match=r"im 07\.tif"):
        written(labels, results)
    assert [path.name for path in labels.parent.iterdir()] == ["labels"]


@pytest.fixture
def limited(monkeypatch):
    """Limits that the study of this module exceeds."""
    monkeypatch.setattr(excerpt, "MAX_PICTURES", 4)
    for module in (page, report):
        monkeypatch.setattr(module, "MAX_IMAGE_ROWS", 5)


def study_data(text):
    data = r'<script type="application/json" id="study-data">(.*?)</script>'
    return json.loads(re.findall(data, text)[0])


def test_the_page_of_a_large_study_shows_some_images_and_the_files_hold_all(labels, limited):
    shown = written(labels)
    text, folder = shown.read_text(), shown.parent
    assert f"4 of {IMAGES} images are shown" in text
    assert text.count("The first 5 of 12 images are listed; summary.json has all of them.") == 1
    assert text.count("The first 5 of 12 images are listed; statistics.csv has all of them.") == 1
    pictured = re.findall(r"<h3>(im \d+)</h3>", text)
    assert len(pictured) == 4
    assert (pictured[0], pictured[-1]) == ("im 00", "im 11")
    rows = re.findall(r'<tr data-particle="i(\d+)-p\d+"', text)
    assert [f"im {int(index):02d}" for index in dict.fromkeys(rows)] == pictured
    assert len(rows) == 4 * EACH
    assert f"Those of the images above, {4 * EACH} of {IMAGES * EACH} particles" in text
    # Images without a picture lead to their overlay.
    links = re.findall(r'href="(figures/.*?)"', text)
    assert len(links) == 5 - sum(name < "im 05" for name in pictured)
    assert all((folder / link.replace("%20", " ")).is_file() for link in links)
    # The files are complete.
    assert len(list((folder / "figures").glob("*_overlay.png"))) == IMAGES
    assert len(list((folder / "rois").iterdir())) == IMAGES
    assert len(pd.read_csv(folder / "statistics.csv")) == IMAGES + 1
    assert len(pd.read_csv(folder / "particles.csv")) == IMAGES * EACH
    summary = json.loads((folder / "summary.json").read_text())
    assert (len(summary["images"]), summary["summary"]["particles"]) == (IMAGES, IMAGES * EACH)


def test_sizes_follow_from_all_particles_where_some_images_are_shown(labels, limited):
    text = written(labels).read_text()
    data = study_data(text)
    assert data["isComplete"]
    assert len(data["particles"]["size"]) == IMAGES * EACH
    assert [image["name"] for image in data["images"]] == [f"im {k:02d}" for k in range(IMAGES)]
    assert "Clear its box" in text
    assert " disabled" not in text


def test_with_too_many_particles_none_can_be_struck_out(labels, limited, monkeypatch):
    monkeypatch.setattr(browserdata, "MAX_PARTICLES", IMAGES * EACH - 1)
    text = written(labels).read_text()
    data = study_data(text)
    assert not data["isComplete"]
    assert len(data["particles"]["size"]) == 4 * EACH
    assert [index for index, image in enumerate(data["images"]) if image] == list(
        dict.fromkeys(data["particles"]["image"])
    )
    assert "Particles cannot be struck out on this page" in text
    assert "Clear its box" not in text
    assert text.count(" checked disabled") == 4 * EACH


@needs_browser
def test_an_excerpt_without_striking_out_still_selects_particles(
    labels, limited, monkeypatch, tmp_path
):
    monkeypatch.setattr(browserdata, "MAX_PARTICLES", 3)
    path = written(labels)
    with opened(tmp_path / "profile", viewport={"width": 1280, "height": 900}) as browser:
        shown = browser.new_page()
        errors = []
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.goto(path.as_uri())
        shown.locator("tr[data-particle] a").last.click()
        assert shown.locator("#bar-text").inner_text().startswith("Particle 6 of im 11: ")
        assert not shown.locator("#bar-strike").is_visible()
        shown.keyboard.press("x")
        assert shown.locator("tr.struck").count() == 0
        assert shown.locator("#bar-choice").is_hidden()
        assert errors == []


def in_doubt(name, confidence):
    """An image with ten particles of one confidence, which is doubted below 0.8."""
    labels = np.kron(np.arange(1, 11, dtype=np.int32)[None], np.pad(np.ones((6, 6), int), 3))
    image = np.where(labels > 0, 200, 50).astype(np.uint8)
    image[::2] += 8
    table = measure(labels, None, image, confidence=np.full(10, confidence))
    return image_result(name, image, labels, None, "", table)


def test_images_in_doubt_come_first_and_the_others_are_spread_evenly(monkeypatch):
    sure, unsure = in_doubt("sure", 0.95), in_doubt("unsure", 0.5)
    monkeypatch.setattr(excerpt, "MAX_PICTURES", 6)
    results = [sure] * 40
    assert excerpt.pictured_images(results[:6]) == [0, 1, 2, 3, 4, 5]
    assert excerpt.pictured_images(results) == [0, 8, 16, 23, 31, 39]
    results[17] = results[30] = unsure
    chosen = excerpt.pictured_images(results)
    assert len(chosen) == 6
    assert {0, 17, 30, 39} <= set(chosen)
    # At most half of the pictures, unless there are too few other images.
    many = [unsure] * 39 + [sure]
    assert len(excerpt.pictured_images(many)) == 6
    half = [unsure] * 20 + [sure] * 20
    assert sum(index < 20 for index in excerpt.pictured_images(half)) == 3
