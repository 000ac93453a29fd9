import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.generation import generate
from nanorender.recipe import read_recipe
from unet import candidates
from unet.checkpoint import read_model, write_model
from unet.confidence import FEATURES
from unet.data import PixelSizes
from unet.model import initial_weights
from unet.reliability import fit_model, format_fit, reliability


@pytest.fixture
def run(tmp_path, card):
    weights = initial_weights(card.training.architecture, np.random.default_rng(0))
    any_scale = PixelSizes(lowest_nm=1, median_nm=7, highest_nm=50)
    card = card.model_copy(update={"pixel_sizes": any_scale})
    (tmp_path / "run").mkdir()
    write_model(tmp_path / "run" / "model.safetensors", card, weights)
    return tmp_path / "run"


@pytest.fixture
def dataset(tmp_path):
    recipe = read_recipe("sio2").at_scale(7.0, 128)
    generate(recipe, 6, 0, tmp_path / "dataset", workers=1)
    return tmp_path / "dataset"


def bright_particles(model, prepared, window, averaged):
    """Maps that are the brighter the surer: spheres are bright, and some noise is, too."""
    gray = prepared.equalized.astype(np.float32) / 255
    return {"foreground": gray}


def test_the_fit_is_written_into_the_model_and_tells_real_particles(run, dataset, monkeypatch):
    monkeypatch.setattr(candidates, "predict_window", bright_particles)
    fit = fit_model(run, dataset, averaged=False)
    card, _ = read_model(run)
    assert card.confidence == fit.confidence
    assert len(card.confidence.mean) == len(FEATURES)
    assert fit.images == 6
    assert 0 < fit.confidence.threshold < 1
    assert format_fit(fit)[-1].startswith("threshold")


def test_a_given_threshold_is_kept(run, dataset, monkeypatch):
    monkeypatch.setattr(candidates, "predict_window", bright_particles)
    assert fit_model(run, dataset, averaged=False, threshold=0.3).confidence.threshold == 0.3


def test_images_without_false_candidates_are_refused(run, dataset, monkeypatch):
    empty = np.zeros((128, 128), np.float32)
    monkeypatch.setattr(candidates, "predict_window", lambda *_: {"foreground": empty})
    with pytest.raises(InputError, match="both real and false candidates"):
        fit_model(run, dataset, averaged=False)


def test_bins_hold_their_particles():
    rng = np.random.default_rng(0)
    confidence = rng.random(50_000)
    bins = reliability(confidence, rng.random(50_000) < confidence)
    assert sum(each.particles for each in bins) == 50_000
    for number, each in enumerate(bins):
        assert number / 10 <= each.confidence <= (number + 1) / 10
        assert each.real == pytest.approx(each.confidence, abs=0.03)
