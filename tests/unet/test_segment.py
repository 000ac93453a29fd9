import numpy as np
import pytest

from nanorender.errors import InputError, UnwritableError
from nanorender.files.collection import Reading, find_collection, read_collection
from nanorender.files.imagefile import read_pixels
from nanorender.files.scalebars.lettering import Lettering
from nanorender.files.scalebars.marks import Marks
from nanorender.files.scalebars.rectangle import Rectangle
from nanorender.files.scalebars.scalebar import ScaleBar
from nanorender.files.segmentation import read_record
from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.measuring.table import measure_file
from nanorender.models import general_model
from nanorender.recipe import read_recipe
from nanorender.rendering import render
from nanorender.scoring.results import read_results
from nanorender.separation.separate import Separation
from unet import candidates
from unet.checkpoint import write_model
from unet.model import initial_weights
from unet.segment import PredictionSettings, probability_path, segment

ONCE = PredictionSettings(averaged=False)


@pytest.fixture
def square(tmp_path, monkeypatch):
    """A micrograph in which a square of 20 x 20 pixels is predicted, at once and with certainty."""
    image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    write_image(tmp_path / "square.tif", image, 6.0)
    foreground = np.zeros((64, 64), np.float32)
    foreground[20:40, 20:40] = 1
    predictions = []

    def predicted(*arguments):
        predictions.append(arguments)
        return {"foreground": foreground}

    monkeypatch.setattr(candidates, "predict_window", predicted)
    monkeypatch.setattr("unet.segment.repeatability", lambda *_: None)
    return read_collection(tmp_path / "square.tif", Reading()), predictions


def write(path, card, erosion_px):
    training = card.training.model_copy(update={"erosion_px": erosion_px})
    weights = initial_weights(training.architecture, np.random.default_rng(0))
    write_model(path, card.model_copy(update={"training": training}), weights)
    return path


@pytest.mark.parametrize(("erosion_px", "edge_px"), [(0.0, 20), (2.0, 24)])
def test_segmentation_compensates_the_erosion_of_training(
    erosion_px, edge_px, square, card, tmp_path
):
    model = write(tmp_path / "model.safetensors", card, erosion_px)
    (path,) = segment(model, square[0], Separation(), tmp_path / "labels", ONCE).paths
    labels, _ = read_labels(path)
    assert labels.any(axis=1).sum() == labels.any(axis=0).sum() == edge_px
    assert read_record(path).separation["grow_px"] == erosion_px


def test_existing_label_maps_are_kept_if_settings_are_equal(square, card, tmp_path):
    collection, predictions = square
    model = write(tmp_path / "model.safetensors", card, 0.0)
    for _ in range(2):
        segment(model, collection, Separation(), tmp_path / "labels", ONCE)
    assert len(predictions) == 1
    segment(model, collection, Separation(threshold=0.6), tmp_path / "labels", ONCE)
    assert len(predictions) == 2


def test_a_file_of_other_origin_is_not_replaced(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    before = (tmp_path / "square.tif").read_bytes()
    with pytest.raises(InputError, match="has no record"):
        segment(model, square[0], Separation(), tmp_path, ONCE)
    assert (tmp_path / "square.tif").read_bytes() == before


def test_the_probability_is_kept_on_request(square, card, tmp_path):
    collection, predictions = square
    model = write(tmp_path / "model.safetensors", card, 0.0)
    asked = PredictionSettings(averaged=False, keep_probability=True)
    for prediction in (ONCE, asked, asked):
        (path,) = segment(model, collection, Separation(), tmp_path / "labels", prediction).paths
    pixels = read_pixels(probability_path(path))
    assert pixels.array.sum() == 255 * 400
    assert pixels.header.pixel_size_nm == pytest.approx(6.0)
    assert len(predictions) == 2


def test_progress_names_the_micrograph(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    said = []
    segment(
        *(model, square[0], Separation(), tmp_path / "labels", ONCE),
        on_progress=lambda *now: said.append(now),
    )
    assert said == [(0, 1, "square"), (1, 1, "")]


def test_unreadable_micrograph_does_not_affect_others(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    folder = tmp_path / "night"
    folder.mkdir()
    for name in ("a", "c"):
        write_image(folder / f"{name}.tif", np.eye(64, dtype=np.uint8), 6.0)
    (folder / "b.tif").write_bytes(b"II*\0 torn")
    write_image(folder / "d.tif", np.eye(64, dtype=np.uint8), None)
    told = []
    segmented = segment(
        *(model, find_collection(folder, Reading()), Separation(), tmp_path / "labels", ONCE),
        on_progress=lambda *now: told.append(now),
    )
    assert [path.name for path in segmented.paths] == ["a.tif", "c.tif"]
    assert [line.split("/")[-1][:5] for line in segmented.failures] == ["b.tif", "d.tif"]
    assert told[-1] == (4, 4, "")


def test_unwritable_folder_stops_the_segmentation(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    (tmp_path / "labels" / "square.tif").mkdir(parents=True)
    with pytest.raises(UnwritableError, match=r"square\.tif is a folder"):
        segment(model, square[0], Separation(), tmp_path / "labels", ONCE)


def test_the_confidence_of_each_particle_is_recorded_and_measured(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    (path,) = segment(model, square[0], Separation(), tmp_path / "labels", ONCE).paths
    record = read_record(path)
    assert record.min_confidence == 0
    assert record.confidence == pytest.approx((0.999,), abs=1e-3)
    assert measure_file(path)["confidence"].tolist() == list(record.confidence)


def test_particles_below_the_least_confidence_are_discarded(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    strict = PredictionSettings(averaged=False, min_confidence=0.9999)
    (path,) = segment(model, square[0], Separation(), tmp_path / "labels", strict).paths
    assert not read_labels(path)[0].any()
    assert read_record(path).confidence == ()


def test_a_model_without_a_scale_takes_images_of_unknown_pixel_size(card, tmp_path, rng):
    card = card.model_copy(update={"pixel_sizes": None})
    model = write(tmp_path / "model.safetensors", card, 0.0)
    image = rng.integers(0, 255, (64, 64), np.uint8)
    write_image(tmp_path / "bare.tif", image, None)
    collection = find_collection(tmp_path / "bare.tif", Reading())
    done = segment(model, collection, Separation(), tmp_path / "labels", ONCE)
    assert done.failures == ()
    assert "sizes are in pixels; give --pixel-size-nm" in done.notes[0]
    assert read_record(done.paths[0]).training_pixel_sizes_nm is None


def test_particles_within_text_are_discarded(square, card, tmp_path, monkeypatch):
    text = Lettering("100 nm", 0.99, Rectangle(18, 18, 42, 42))
    monkeypatch.setattr("unet.segment.recognizes_text", lambda: True)
    monkeypatch.setattr("unet.segment.read_marks", lambda path: Marks((text,), None))
    model = write(tmp_path / "model.safetensors", card, 0.0)
    (path,) = segment(model, square[0], Separation(), tmp_path / "labels", ONCE).paths
    assert not read_labels(path)[0].any()
    record = read_record(path)
    assert (record.confidence, record.marks_discarded) == ((), True)
    assert record.scale_bar_pixel_size_nm is None


def test_a_scale_bar_that_contradicts_the_header_raises_a_doubt(
    square, card, tmp_path, monkeypatch
):
    bar = ScaleBar(100.0, 20.0, "100 nm", (Rectangle(2, 60, 22, 62), Rectangle(2, 50, 22, 58)))
    monkeypatch.setattr("unet.segment.recognizes_text", lambda: True)
    monkeypatch.setattr("unet.segment.read_marks", lambda path: Marks((), bar))
    model = write(tmp_path / "model.safetensors", card, 0.0)
    done = segment(model, square[0], Separation(), tmp_path / "labels", ONCE)
    assert read_record(done.paths[0]).scale_bar_pixel_size_nm == 5.0
    assert any("the scale bar states another pixel size" in doubt for doubt in done.doubts)
    assert segment(model, square[0], Separation(), tmp_path / "labels", ONCE).paths == done.paths


def edit(path):
    """Number the particles of a label map anew, as editors do, and move one."""
    labels, pixel_size_nm = read_labels(path)
    write_labels(path, np.roll(np.where(labels > 0, labels + 4, 0), 3, axis=1), pixel_size_nm)
    return path.read_bytes()


def test_an_edited_label_map_is_kept_and_has_no_confidence(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    (path,) = segment(model, square[0], Separation(), tmp_path / "labels", ONCE).paths
    edited = edit(path)
    segment(model, square[0], Separation(), tmp_path / "labels", ONCE)
    assert path.read_bytes() == edited
    (result,) = read_results(path.parent)
    assert result.edited
    assert result.table["label"].tolist() == [5]
    assert result.table["confidence"].isna().all()


def test_an_edited_label_map_is_not_replaced_by_one_of_other_settings(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    (path,) = segment(model, square[0], Separation(), tmp_path / "labels", ONCE).paths
    edited = edit(path)
    other = segment(model, square[0], Separation(threshold=0.6), tmp_path / "labels", ONCE)
    assert "was edited after it was segmented" in other.failures[0]
    assert path.read_bytes() == edited


def test_a_json_file_of_another_program_is_not_replaced(square, card, tmp_path):
    model = write(tmp_path / "model.safetensors", card, 0.0)
    (tmp_path / "labels").mkdir()
    shapes = tmp_path / "labels" / "square.json"
    shapes.write_text('{"shapes": []}')
    with pytest.raises(InputError, match="is not a record"):
        segment(model, square[0], Separation(), tmp_path / "labels", ONCE)
    assert shapes.read_text() == '{"shapes": []}'


def test_the_record_tells_what_the_model_knows_and_whether_particles_are_found_again(tmp_path):
    sample = render(read_recipe("sio2").at_scale(10.0, 320), 0, 0)
    write_image(tmp_path / "a.tif", sample.image, 10.0)
    collection = read_collection(tmp_path / "a.tif", Reading())
    (path,) = segment(general_model(), collection, Separation(), tmp_path / "labels", ONCE).paths
    record = read_record(path)
    assert record.repeatability > 0.8
    lowest, highest = record.trained_diameters_px
    assert lowest < 5
    assert highest > 1000
    assert record.relative_loss is record.epoch_agreement is None


def test_doubts_are_raised_for_new_label_maps(tmp_path):
    sample = render(read_recipe("sio2").at_scale(10.0, 320), 0, 0)
    write_image(tmp_path / "a.tif", sample.image, 10.0)
    collection = read_collection(tmp_path / "a.tif", Reading())
    for least, doubted in ((None, False), (1.0, True), (1.0, False)):
        settings = PredictionSettings(averaged=False, min_confidence=least)
        found = segment(general_model(), collection, Separation(), tmp_path / "labels", settings)
        assert any("may have been missed" in line for line in found.doubts) == doubted
