import numpy as np
import pytest
from PIL import Image

from nanorender.errors import InputError
from nanorender.files.collection import Reading, find_collection, read_collection
from nanorender.files.scalebars.lettering import recognizes_text
from nanorender.files.scalebars.marks import read_marks, within_marks
from nanorender.imaging.publication import WHITE, Polygon, PublicationSettings, Text, publish

NONE = PublicationSettings(panel_label=0, scale_bar=0, caption=0, arrow=0, info_bar=0)
needs_ocr = pytest.mark.skipif(not recognizes_text(), reason="needs the extra 'scalebar'")


@pytest.fixture
def published(tmp_path):
    """Write an image with a scale bar of 80 px in place of 200 nm, and a panel label."""
    rng = np.random.default_rng(0)
    ground = rng.normal(90, 6, (300, 400)).clip(0, 255).astype(np.uint8)
    bar = Polygon(((280, 260), (359, 260), (359, 267), (280, 267)), WHITE)
    marks = [
        bar,
        Text((285, 225), "200 nm", "DejaVuSans.ttf", 26, WHITE),
        Text((8, 4), "(b)", "DejaVuSans-Bold.ttf", 34, WHITE),
    ]
    path = tmp_path / "published.png"
    Image.fromarray(publish(ground, marks, NONE, rng)).save(path)
    return path


@needs_ocr
def test_pixel_size_is_read_from_the_scale_bar(published):
    collection = read_collection(published, Reading())
    assert collection.pixel_size_nm == pytest.approx(2.5, rel=0.01)
    assert collection.notes == ("pixel size of 1 image read from its scale bar",)
    (micrograph,) = collection
    assert micrograph.pixel_size_source == "scale bar of 200 nm, 80.0 px"
    (given,) = read_collection(published, Reading(pixel_size_nm=7.0))
    assert given.pixel_size_nm == 7.0
    (left,) = read_collection(published, Reading(in_pixels=True))
    assert left.pixel_size_nm is None


@needs_ocr
def test_text_and_bar_are_no_particles(published):
    labels = np.zeros((300, 400), np.int32)
    labels[258:269, 279:361] = 1  # the bar
    labels[228:250, 287:300] = 2  # a digit
    labels[100:150, 100:150] = 3
    labels[200:300, 150:284] = 4  # a particle that the bar overlays
    boxes = read_marks(published).boxes
    assert within_marks(labels, boxes, (0, 300, 0, 400)).tolist() == [True, True, False, False]


@needs_ocr
def test_models_come_with_the_package(published, monkeypatch):
    import requests

    def refuse(*arguments, **named):
        raise AssertionError("nothing is downloaded")

    monkeypatch.setattr(requests.Session, "request", refuse)
    assert read_marks(published).scale_bar is not None


def test_without_the_extra_an_unknown_pixel_size_is_refused(published, monkeypatch):
    monkeypatch.setattr("nanorender.files.scalebars.marks.recognizes_text", lambda: False)
    monkeypatch.setattr("nanorender.files.collection.recognizes_text", lambda: False)
    with pytest.raises(InputError, match="install the extra 'scalebar'"):
        list(find_collection(published, Reading()))
